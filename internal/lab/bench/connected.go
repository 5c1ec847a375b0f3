package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// connected opens a socket in each of two hosts and connects one to the other, which waits for a second at most for what comes.
func connected(from, to *lab.Host, cidr string, kind int) (p *pair, err error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, err
	}
	p = &pair{out: -1}
	listener, addr := -1, &unix.SockaddrInet4{Addr: prefix.Addr().As4()}
	err = to.Do(func() (err error) {
		if listener, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		if err := unix.Bind(listener, addr); err != nil {
			return err
		}
		if kind == unix.SOCK_STREAM {
			if err := unix.Listen(listener, 1); err != nil {
				return err
			}
		}
		name, err := unix.Getsockname(listener)
		if err != nil {
			return err
		}
		addr.Port = name.(*unix.SockaddrInet4).Port
		return nil
	})
	if err == nil {
		err = from.Do(func() (err error) {
			if p.out, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(p.out, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20)
			return unix.Connect(p.out, addr)
		})
	}
	p.in = listener
	if err == nil && kind == unix.SOCK_STREAM {
		p.in, _, err = unix.Accept(listener)
		err = errors.Join(err, unix.Close(listener))
	}
	if err == nil {
		err = unix.SetsockoptTimeval(p.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("connect %s to %s: %w", from.Name, prefix.Addr(), err)
	}
	return p, nil
}
