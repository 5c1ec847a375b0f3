package host

import (
	"os"
	"testing"

	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(crashVariable); spec != "" {
		crashProcess(spec)
	}
	labtest.Main(m)
}
