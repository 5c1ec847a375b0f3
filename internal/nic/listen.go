package nic

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SetSocketFilter has the socket filter with descriptor fd decide which frames the socket takes in from now on, instead of the
// filter before it and with no frame between the two; fd < 0: it takes in everything again. The filter sees a frame
// before the NIC's tc ingress hook does and in the same go. What it refuses is counted nowhere. The socket keeps
// the filter: fd may be closed.
func (s *Socket) SetSocketFilter(fd int) error {
	err := s.withFD(func(socket int) error {
		if fd >= 0 {
			return unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, fd)
		}
		err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil // there was none
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set socket filter of %s: %w", s.opt.Name, err)
	}
	return nil
}
