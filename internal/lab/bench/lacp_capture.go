// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/modes/lacp"
)

// lacpCapture records when a device receives LACPDUs, by the kernel's timestamps.
type lacpCapture struct {
	fd    int
	close func()

	mu sync.Mutex
	at []time.Time
}

// captureLACP hears a device of a host until it is closed.
func captureLACP(h *lab.Host, device string) (*lacpCapture, error) {
	dev, err := h.Handle().LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("hear %s: %w", device, err)
	}
	e := &lacpCapture{fd: -1}
	if err := h.Do(func() error { return e.open(dev.Attrs().Index) }); err != nil {
		if e.fd >= 0 {
			unix.Close(e.fd)
		}
		return nil, fmt.Errorf("hear %s: %w", device, err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	e.close = sync.OnceFunc(func() { close(stop); <-done; unix.Close(e.fd) })
	go func() {
		defer close(done)
		e.listen(stop)
	}()
	return e, nil
}

func (e *lacpCapture) open(index int) (err error) {
	// A socket for one EtherType receives nothing from an isolated member.
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	if e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(e.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
		return err
	}
	only := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: frame.TypeSlow, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x40000},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	if err := unix.SetsockoptSockFprog(e.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(only)), Filter: &only[0]}); err != nil {
		return err
	}
	return unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
}

func (e *lacpCapture) listen(stop chan struct{}) {
	buf, control := make([]byte, 2048), make([]byte, 256)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, cn, _, _, err := unix.Recvmsg(e.fd, buf, control, 0)
		if err != nil {
			continue // nothing for a while
		}
		if _, err := lacp.ParsePDU(buf[:n]); err != nil {
			continue
		}
		messages, _ := unix.ParseSocketControlMessage(control[:cn])
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
				e.mu.Lock()
				e.at = append(e.at, time.Unix(int64(binary.NativeEndian.Uint64(m.Data)),
					int64(binary.NativeEndian.Uint64(m.Data[8:]))))
				e.mu.Unlock()
			}
		}
	}
}

// times is when LACPDUs have come.
func (e *lacpCapture) times() []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at[:len(e.at):len(e.at)]
}
