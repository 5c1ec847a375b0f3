// SPDX-License-Identifier: MIT

package fastpath

import (
	"testing"

	"github.com/cilium/ebpf"

	"nicteam/internal/lab/labtest"
)

// The kernel looks at a million instructions of a program at most, and older ones see less that they need not look at
// again.
func TestProgramsAreLittleWorkForTheVerifier(t *testing.T) {
	labtest.Root(t)
	k, err := load()
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, k.close()) })
	for name, p := range map[string]*ebpf.Program{"transmit": k.Transmit, "receive": k.Receive,
		"relay_filter": k.RelayFilter} {
		info, err := p.Info()
		labtest.Must(t, err)
		n, known := info.VerifiedInstructions()
		if !known {
			t.Skip("the kernel does not tell, before 5.16")
		}
		t.Logf("%s: %d instructions", name, n)
		if n > 100_000 {
			t.Errorf("%s: the kernel has looked at %d instructions", name, n)
		}
	}
}
