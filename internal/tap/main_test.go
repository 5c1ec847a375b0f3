package tap

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestMain runs the tests again in a network namespace of their own; without the right to make one
// they skip.
func TestMain(m *testing.M) {
	const mark = "NICTEAM_TEST_NAMESPACE"
	if os.Getenv(mark) != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	os.Stderr.WriteString("make a network namespace: " + err.Error() + "\n")
	os.Exit(1)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getenv("NICTEAM_TEST_NAMESPACE") == "" {
		t.Skip("needs root: run with sudo")
	}
}
