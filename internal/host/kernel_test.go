package host

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"nicteam/internal/tchook"
)

// noTCX reports whether an error means that the kernel has no tcx.
func noTCX(err error) bool {
	return errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL)
}

// kernelHas skips the test if the kernel lacks the method.
func kernelHas(t testing.TB, m tchook.Method) {
	t.Helper()
	const loopback = 1
	if _, err := link.QueryPrograms(link.QueryOptions{Target: loopback,
		Attach: ebpf.AttachTCXIngress}); m == tchook.ByTCX && noTCX(err) {
		t.Skip("needs Linux 6.6 for tcx")
	}
}
