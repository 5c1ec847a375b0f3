package host

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheKernelChoosesSockets: the kernel lists only TCP sockets of the link.
func TestTheKernelChoosesSockets(t *testing.T) {
	newWorld(t)
	for _, nic := range []string{"", "na", "nc"} {
		fd := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
		if nic != "" {
			must(t, unix.BindToDevice(fd, nic))
		}
		must(t, unix.Bind(fd, &unix.SockaddrInet4{}))
		must(t, unix.Listen(fd, 1))
	}
	index, err := interfaceIndex("na")
	must(t, err)
	list := inetDiag(unix.AF_INET, unix.IPPROTO_TCP, index)
	if len(list) != 1 {
		t.Fatalf("%d sockets", len(list))
	}
	if s, ok := parseInetDiag(list[0]); !ok || s.index != index {
		t.Errorf("%+v", s)
	}
}
