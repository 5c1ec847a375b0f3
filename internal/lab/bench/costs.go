// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/tap"
)

const (
	redirect = "redirect" // programs that only redirect: the lower bound for such a data path
	fastELB  = "fastpath elb"
)

// costs compares the cost of a frame. One thread sends and receives, so that all work between is in its CPU time, on
// one CPU. Other programs disturb single turns, and hardly the fastest quarter.
func (b *bench) costs(ctx context.Context) {
	what := "one thread sends, and receives what it has sent: UDP frames of 64 octets from box to peer, 32 " +
		"at a time: time for one, of the quickest quarter the slowest"
	measures := []*measure{
		b.measure("fastpath-cost-udp-out", what, "ns"),
		b.measure("fastpath-cost-udp-in", "the same from peer to box", "ns"),
		b.measure("fastpath-cost-tcp-out", "the same by TCP from box to peer, 256 KiB at a time: time for 64 KiB",
			"µs"),
		b.measure("fastpath-cost-tcp-in", "the same from peer to box", "µs"),
	}
	names := []string{plain, redirect, fast, fastELB}
	rigs, faults := map[string]*rig{}, map[string]error{}
	for _, name := range names {
		r, err := b.direct("cost", 1)
		if err == nil {
			defer b.close(r)
			rigs[name] = r
			switch name {
			case plain:
				err = r.plain(ctx)
			case redirect:
				err = r.redirects(ctx)
			case fast:
				err = r.team(ctx, fast, "eth1", "--mode", "active-backup")
			case fastELB:
				err = r.team(ctx, fast, "eth1", "--mode", "elb")
			}
		}
		if faults[name] = err; err != nil {
			b.logf("%s cannot take part: %v", name, err)
		}
	}
	for i, open := range []func(r *rig) (*pair, error){
		func(r *rig) (*pair, error) { return datagrams(r.box, r.peer, peerCIDR) },
		func(r *rig) (*pair, error) { return datagrams(r.peer, r.box, boxCIDR) },
		func(r *rig) (*pair, error) { return stream(r.box, r.peer, peerCIDR) },
		func(r *rig) (*pair, error) { return stream(r.peer, r.box, boxCIDR) },
	} {
		m := measures[i]
		m.compare(fast, plain, redirect).compare(redirect, plain).compare(fastELB, fast)
		var all []contestant
		for _, name := range names {
			all = append(all, contestant{name: name, missing: faults[name],
				take: func(ctx context.Context) ([]float64, error) {
					p, err := open(rigs[name])
					if err != nil {
						return nil, err
					}
					defer p.close()
					took, err := p.cost(b.turn / 4)
					if err == nil {
						err = rigs[name].checkDatapath(ctx)
					}
					if m.Unit == "µs" {
						took /= 1000
					}
					return []float64{took}, err
				}})
		}
		b.interleave(ctx, b.rounds, all, m)
	}
}

// redirects creates an adapter and programs on it and on eth1 that redirect all frames to each other.
func (r *rig) redirects(ctx context.Context) error {
	nic, err := r.box.Handle().LinkByName("eth1")
	if err != nil {
		return err
	}
	if err := r.box.Up("eth1"); err != nil {
		return err
	}
	err = r.box.Do(func() error {
		a, err := tap.Create(tap.Options{Name: teamName, MAC: frame.MACFrom(nic.Attrs().HardwareAddr)})
		if err != nil {
			return err
		}
		r.deferClose(a.Delete)
		for _, h := range []struct {
			on, to int
			flags  int32 // BPF_F_INGRESS
			hook   ebpf.AttachType
		}{{nic.Attrs().Index, a.Index(), 1, ebpf.AttachTCXIngress},
			{a.Index(), nic.Attrs().Index, 0, ebpf.AttachTCXEgress}} {
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: asm.Instructions{
				asm.Mov.Imm(asm.R1, int32(h.to)), asm.Mov.Imm(asm.R2, h.flags), asm.FnRedirect.Call(), asm.Return(),
			}})
			if err != nil {
				return fmt.Errorf("load a program that redirects: %w", err)
			}
			r.deferClose(p.Close)
			l, err := r.box.Attach(h.on, h.hook, p)
			if err != nil {
				return fmt.Errorf("attach a program that redirects: %w", err)
			}
			r.deferClose(l.Close)
		}
		if err := r.box.Up(teamName); err != nil {
			return err
		}
		return a.SetCarrier(true)
	})
	if err != nil {
		return err
	}
	if err := r.box.SetAddr(teamName, boxCIDR); err != nil {
		return err
	}
	return r.awaitPing(ctx)
}

// pair are two sockets; one sends to the other.
type pair struct {
	out, in int
	// round sends and receives, and returns how many units it measured.
	round func() error
	of    int
}

func (p *pair) close() {
	unix.Close(p.out)
	unix.Close(p.in)
}

// cost returns the ns a unit.
func (p *pair) cost(d time.Duration) (float64, error) {
	var times []time.Duration
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine, as its priority is not others'
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
		for end := time.Now().Add(d); time.Now().Before(end); {
			start := time.Now()
			if err := p.round(); err != nil {
				done <- err
				return
			}
			times = append(times, time.Since(start))
		}
		done <- nil
	}()
	if err := <-done; err != nil {
		return 0, err
	}
	if len(times) == 0 {
		return 0, errors.New("not one round in the time")
	}
	slices.Sort(times)
	return float64(times[len(times)/4]) / float64(p.of), nil
}

// datagrams is UDP with frames of 64 octets.
func datagrams(from, to *lab.Host, cidr string) (*pair, error) {
	p, err := connectedPair(from, to, cidr, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	sent, _ := messages(frameBatch, framePayload)
	got, _ := messages(frameBatch, framePayload)
	p.of = frameBatch
	p.round = func() error {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(p.out), uintptr(unsafe.Pointer(unsafe.SliceData(sent))),
			frameBatch, 0, 0, 0)
		if errno != 0 || n != frameBatch {
			return fmt.Errorf("send %d datagrams: %d were sent: %w", frameBatch, n, errno)
		}
		for left := frameBatch; left > 0; {
			n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(p.in),
				uintptr(unsafe.Pointer(unsafe.SliceData(got))), uintptr(left), unix.MSG_WAITFORONE, 0, 0)
			if errno != 0 {
				return fmt.Errorf("%d datagrams did not arrive: %w", left, errno)
			}
			left -= int(n)
		}
		return nil
	}
	return p, nil
}

// stream is a TCP connection.
func stream(from, to *lab.Host, cidr string) (*pair, error) {
	p, err := connectedPair(from, to, cidr, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	p.of = 4
	sent, got := make([]byte, p.of<<16), make([]byte, p.of<<16)
	p.round = func() error {
		if n, err := unix.Write(p.out, sent); err != nil || n != len(sent) {
			return fmt.Errorf("write %d octets: %d were written: %w", len(sent), n, err)
		}
		for left := len(sent); left > 0; {
			n, err := unix.Read(p.in, got)
			if err != nil || n == 0 {
				return fmt.Errorf("%d octets did not arrive: %w", left, err)
			}
			left -= n
		}
		return nil
	}
	return p, nil
}

// connectedPair opens a socket in each of two hosts and connects one to the other, which waits for a second at most for
// what comes.
func connectedPair(from, to *lab.Host, cidr string, kind int) (p *pair, err error) {
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
