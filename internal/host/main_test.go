package host

import (
	"os"
	"testing"

	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(victimVariable); spec != "" {
		victim(spec)
	}
	labtest.Main(m)
}
