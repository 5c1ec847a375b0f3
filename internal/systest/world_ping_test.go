// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// ping sends an echo request with so many bytes of payload and waits for the reply.
func ping(t testing.TB, from *lab.Host, to netip.Addr, size int) {
	t.Helper()
	if !answers(t, from, to, size) {
		t.Errorf("no answer to a ping from %s to %s with %d size", from.Name, to, size)
	}
}

// reach waits until one of many echo requests is answered: while the receive filters of NICs follow a new MAC of the
// adapter, frames are lost.
func reach(t testing.TB, from *lab.Host, to netip.Addr) {
	t.Helper()
	labtest.Eventually(t, "an answer to "+from.Name+" from "+to.String(), func() bool {
		return answersWithin(t, from, to, 100, 200*time.Millisecond)
	})
}

// answers reports whether an echo request is answered.
func answers(t testing.TB, from *lab.Host, to netip.Addr, size int) bool {
	t.Helper()
	return answersWithin(t, from, to, size, labtest.Patience)
}

func answersWithin(t testing.TB, from *lab.Host, to netip.Addr, size int, patience time.Duration) bool {
	t.Helper()
	family, protocol, ask, answer := unix.AF_INET6, unix.IPPROTO_ICMPV6, byte(128), byte(129)
	var at unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	if to.Is4() {
		family, protocol, ask, answer = unix.AF_INET, unix.IPPROTO_ICMP, 8, 0
		at = &unix.SockaddrInet4{Addr: to.As4()}
	}
	var fd int
	labtest.Must(t, from.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	}))
	defer unix.Close(fd)
	labtest.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}))
	request := make([]byte, 8+size)
	request[0] = ask
	binary.BigEndian.PutUint64(request[4:], uint64(time.Now().UnixNano()))
	if to.Is4() {
		binary.BigEndian.PutUint16(request[2:], frame.Checksum(request))
	}
	labtest.Must(t, unix.Sendto(fd, request, 0, at))
	buf := make([]byte, 1<<16)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		labtest.Must(t, err)
		got := buf[:n]
		if to.Is4() && n > 20 {
			got = got[got[0]&15*4:]
		}
		if len(got) == len(request) && got[0] == answer && bytes.Equal(got[4:], request[4:]) {
			return true
		}
	}
	return false
}
