package fastpath

import (
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestProbe: where the other tests run programs, the probe says that it can be done.
func TestProbe(t *testing.T) {
	labtest.Root(t)
	host := labtest.Host(t, "host")
	labtest.Must(t, host.Do(Probe))
}
