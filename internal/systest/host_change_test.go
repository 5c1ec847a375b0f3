// SPDX-License-Identifier: MIT

package systest

import (
	octets "encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// Every change of the host network is an rtnetlink event, so killing a process at each event covers every moment.

// changeGroups are the groups that count: links, addresses, routes.
const changeGroups = unix.RTMGRP_LINK |
	unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// changes are the rtnetlink events of box from the call on, in order.
type changes struct{ f *os.File }

func (w *world) changes(groups uint32) *changes {
	w.t.Helper()
	fd := -1
	labtest.Must(w.t, w.box.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		return err
	}))
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	c := &changes{os.NewFile(uintptr(fd), "changes")}
	labtest.Must(w.t, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}))
	return c
}

// await returns after n more events.
func (c *changes) await(t testing.TB, n int) {
	t.Helper()
	labtest.Must(t, c.f.SetReadDeadline(time.Now().Add(labtest.Patience)))
	labtest.Must(t, c.each(func(uint16, []byte) bool { n--; return n > 0 }))
}

// each calls f with every event until f returns false or the socket is closed.
func (c *changes) each(f func(kind uint16, body []byte) bool) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := c.f.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(octets.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				break
			}
			if !f(octets.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:size]) {
				return nil
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// lockHolder returns the process that holds the team's lock, 0 if none does. The file may be of a dead process, whose
// number may be another one's by now.
func (w *world) lockHolder() int {
	f, err := os.Open(w.box.Path("/run/nicteam/" + teamName + ".lock"))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(f)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if pid != 0 && unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0
	}
	return pid
}

// killAt runs f and kills the process that holds the team's lock at the nth change of the host. It reports whether
// there were so many.
func (w *world) killAt(n int, f func() result) (died bool, r result) {
	w.t.Helper()
	c := w.changes(changeGroups)
	var over atomic.Bool
	victim := 0
	var wait sync.WaitGroup
	wait.Go(func() {
		pid := 0
		for ; pid == 0 && !over.Load(); pid = w.lockHolder() {
			time.Sleep(50 * time.Microsecond)
		}
		count := 0
		_ = c.each(func(uint16, []byte) bool {
			if count++; count == n {
				w.killKeeper()
				if unix.Kill(pid, unix.SIGKILL) == nil {
					victim = pid
				}
			}
			return count < n
		})
	})
	r = f()
	over.Store(true)
	_ = c.f.Close()
	wait.Wait()
	if victim != 0 {
		w.awaitEnd(victim)
	}
	return victim != 0, r
}

// countChanges returns how many changes f makes.
func (w *world) countChanges(f func() result) int {
	w.t.Helper()
	c := w.changes(changeGroups)
	n := 0
	var wait sync.WaitGroup
	wait.Go(func() {
		_ = c.each(func(uint16, []byte) bool { n++; return true })
	})
	if r := f(); r.Code != 0 {
		w.t.Fatalf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	_ = c.f.Close()
	wait.Wait()
	return n
}

// killPoints returns some of the changes from first to last; without -soak a third of them.
func killPoints(t testing.TB, last, some int) []int {
	if !*soak {
		some = (some + 2) / 3
	}
	var list []int
	for i := range some {
		n := 1 + i*(last-1)/max(some-1, 1)
		if len(list) == 0 || list[len(list)-1] != n {
			list = append(list, n)
		}
	}
	t.Logf("%d changes, dies at %v", last, list)
	return list
}

// lockHolders tracks which devices have the addresses of the host.
type lockHolders struct {
	had  map[netip.Prefix]bool
	held map[netip.Prefix]map[int32]bool
	lost []netip.Prefix // was nowhere at some moment
}

func (h *lockHolders) event(kind uint16, body []byte) {
	if kind != unix.RTM_NEWADDR && kind != unix.RTM_DELADDR || len(body) < unix.SizeofIfAddrmsg {
		return
	}
	var address []byte
	for b := body[unix.SizeofIfAddrmsg:]; len(b) >= 4; {
		size := int(octets.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		switch kind := octets.NativeEndian.Uint16(b[2:]); {
		case kind == unix.IFA_LOCAL, kind == unix.IFA_ADDRESS && address == nil:
			address = append([]byte(nil), b[4:size]...)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	a, ok := netip.AddrFromSlice(address)
	if !ok || a.Is6() && a.IsLinkLocalUnicast() {
		return
	}
	p, index := netip.PrefixFrom(a, int(body[1])), int32(octets.NativeEndian.Uint32(body[4:]))
	if h.held[p] == nil {
		h.held[p] = map[int32]bool{}
	}
	if kind == unix.RTM_NEWADDR {
		h.held[p][index] = true
		return
	}
	delete(h.held[p], index)
	if h.had[p] && len(h.held[p]) == 0 {
		h.lost = append(h.lost, p)
	}
}
