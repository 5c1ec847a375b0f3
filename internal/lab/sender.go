// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// connect opens a socket a flow in the calling thread's namespace.
func (r *Running) connect() error {
	family := unix.AF_INET
	if r.s.Address.Is6() {
		family = unix.AF_INET6
	}
	for i := range r.s.Flows {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open socket: %w", err)
		}
		r.out = append(r.out, fd)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
		if r.s.FirstPort > 0 {
			any := netip.IPv4Unspecified()
			if family == unix.AF_INET6 {
				any = netip.IPv6Unspecified()
			}
			if err := unix.Bind(fd, sockaddr(any, r.s.FirstPort+i*r.s.PortStep)); err != nil {
				return fmt.Errorf("bind port %d: %w", r.s.FirstPort+i*r.s.PortStep, err)
			}
		}
		if err := unix.Connect(fd, sockaddr(r.s.Address, r.port)); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	return nil
}

func sockaddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}

// send is the sender's thread.
func (r *Running) send() {
	defer close(r.senderDone)
	runtime.LockOSThread() // and ends with the goroutine: its timers are not as others'
	exactTimers()
	preferThread()
	payload := make([]byte, r.s.Size)
	newSeededReader(uint64(r.run)).Read(payload)
	r.warmUp(payload)
	pace := schedule{due: nanotime(), period: int64(time.Second) / int64(r.s.Rate)}
	r.begin(pace.due)
	for n := 0; !r.stop.Load(); {
		now := nanotime()
		slept := now < pace.due
		if slept {
			sleepUntil(pace.due)
			now = nanotime()
		}
		// Only a late wake-up is not the network's fault; a send that takes long may be.
		if missed := pace.sent(now); slept && missed.length() > 0 {
			r.lateMu.Lock()
			r.late = append(r.late, missed)
			r.lateMu.Unlock()
		}
		n = r.sendOne(n, payload, now)
	}
}

// warmUp sends frames that do not count until one arrives, for a short time: a stream may start while the network is
// down.
func (r *Running) warmUp(payload []byte) {
	mark{run: r.run, flow: warmFlow}.put(payload)
	const tries = 40
	for n := 0; n < tries && !r.warm.Load() && !r.stop.Load(); n++ {
		for _, fd := range r.out {
			_, _ = unix.Write(fd, payload)
		}
		sleepUntil(nanotime() + (5 * time.Millisecond).Nanoseconds())
	}
}

// sendOne sends the next frame of flow n and returns the flow after it.
func (r *Running) sendOne(n int, payload []byte, now int64) int {
	seq := &r.sent[n]
	mark{run: r.run, flow: uint32(n), seq: seq.Load(), sent: now}.put(payload)
	for {
		_, err := unix.Write(r.out[n], payload)
		switch {
		case err == nil:
			seq.Add(1)
			r.lastSend.Store(now)
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNREFUSED):
			// An ICMP error for an earlier frame; this one was not sent.
			continue
		default:
			r.refused.Add(1)
		}
		return (n + 1) % r.s.Flows
	}
}

// lateness up to here is due to timers and scheduling: the sender catches up by sending the frames that are due. More
// moves the schedule.
const lateness = 500 * time.Microsecond

// schedule says when the next frame is due, all in nanoseconds.
type schedule struct{ due, period int64 }

// sent takes the frame that was due as sent now, and returns the time that the timetable was moved by, if it was.
func (t *schedule) sent(now int64) (missed Interval) {
	if now-t.due > lateness.Nanoseconds() {
		missed = Interval{t.due, now}
		t.due = now
	}
	t.due += t.period
	return missed
}
