// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// die closes s as the end of its process would: nothing is removed from its store.
func die(t *testing.T, s *Socket) {
	t.Helper()
	s.opt.Store = descriptors.Or(nil)
	labtest.Must(t, s.Close())
}

// adopt goes on with what is in the store.
func adopt(t *testing.T, p *pair, store *descriptorstest.Store, o Options) (s *Socket, err error) {
	t.Helper()
	store.Next()
	fd, ok := store.Take(descriptors.Of(descriptors.Socket, p.a.opt.Index))
	if !ok {
		t.Fatalf("no socket in the store: %v", store.Stored())
	}
	filter, ok := store.Take(descriptors.Of(descriptors.Groups, p.a.opt.Index))
	if !ok {
		t.Fatalf("no receive filter in the store: %v", store.Stored())
	}
	o.Store = store
	err = p.host.Do(func() (err error) { s, err = Adopt(fd, filter, o); return err })
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// What comes while no process has the socket open is received by the next one, in order, by the socket filter of
// before.
func TestAdoptReceivesOn(t *testing.T) {
	store := descriptorstest.New(t)
	p := newPair(t, Options{Store: store})
	even := only(t, 0)
	labtest.Must(t, p.a.SetSocketFilter(even.FD()))
	const n = 400
	send := func(from int) {
		for i := from; i < from+n; i++ {
			labtest.Must(t, p.b.SendControl(testFrame(i)))
		}
	}
	send(0)
	die(t, p.a)
	send(n)
	s, err := adopt(t, p, store, p.a.opt)
	labtest.Must(t, err)
	send(2 * n)
	for i, b := range collect(t, s, 3*n/2) {
		if got := int(binary.BigEndian.Uint32(b[frame.VnetLen+14:])); got != 2*i {
			t.Fatalf("frame %d came, want %d", got, 2*i)
		}
	}
	s.Queue(withHeader(testFrame(1)))
	if f := s.Flush(); len(f) > 0 {
		t.Errorf("sent: %v", f)
	}
	collect(t, p.b, 1)
	if drops := s.Stats().Drops; drops > 0 {
		t.Errorf("%d drops", drops)
	}
	labtest.Must(t, s.Close())
	if names := store.Stored(); len(names) > 0 {
		t.Errorf("stored after Close: %v", names)
	}
}

// The receive filter of the process before stays until that of the next has all, and then goes.
func TestAdoptedReceiveFilter(t *testing.T) {
	store := descriptorstest.New(t)
	p := newPair(t, Options{Store: store})
	const ours, group, left = frame.MAC(0x0200000000aa), frame.MAC(0x01005e000077), frame.MAC(0x0200000000ab)
	labtest.Must(t, p.a.AddFilter([]frame.MAC{ours, left}))
	labtest.Must(t, p.a.AddGroups([]frame.MAC{group}))
	receives := func(s *Socket, macs ...frame.MAC) {
		t.Helper()
		for _, m := range append(macs, frame.Broadcast) {
			b := testFrame(int(m & 0xffff))
			m.Put(b, 0)
			labtest.Must(t, p.b.SendControl(b))
		}
		for i, b := range collect(t, s, len(macs)+1) {
			want := append(macs, frame.Broadcast)[i]
			if got := frame.MACAt(b[frame.VnetLen:], 0); got != want {
				t.Fatalf("a frame to %v came, want one to %v", got, want)
			}
		}
	}
	refuses := func(s *Socket, m frame.MAC) {
		t.Helper()
		b := testFrame(0)
		m.Put(b, 0)
		labtest.Must(t, p.b.SendControl(b))
		receives(s) // the broadcast behind it comes first
	}
	receives(p.a, ours, group, left)
	for range 2 { // the second dies before its filter is complete
		die(t, p.a)
		s, err := adopt(t, p, store, p.a.opt)
		labtest.Must(t, err)
		receives(s, ours, group, left)
		p.a = s
	}
	labtest.Must(t, p.a.AddFilter([]frame.MAC{ours}))
	labtest.Must(t, p.a.AddGroups([]frame.MAC{group}))
	p.a.ReleaseInherited()
	p.a.ReleaseInherited()
	receives(p.a, ours, group)
	refuses(p.a, left)
	die(t, p.a)
	s, err := adopt(t, p, store, p.a.opt)
	labtest.Must(t, err)
	receives(s, ours, group)
	labtest.Must(t, s.Close())
	last := open(t, p.host, "a", Options{})
	refuses(last, ours)
	refuses(last, group)
}

func TestAdoptRefuses(t *testing.T) {
	type world struct {
		*pair
		store *descriptorstest.Store
	}
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, w *world) (o Options)
		want  error
	}{
		"another NIC": {func(t *testing.T, w *world) Options {
			o := w.a.opt
			o.Index++
			return o
		}, ErrForeign},
		"a NIC that is gone": {func(t *testing.T, w *world) Options {
			l, err := w.host.Handle().LinkByIndex(w.a.opt.Index)
			labtest.Must(t, err)
			labtest.Must(t, w.host.Handle().LinkDel(l))
			return w.a.opt
		}, ErrGone},
		"no virtio header": {func(t *testing.T, w *world) Options {
			labtest.Must(t, w.host.Do(func() error {
				fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				all := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: w.a.opt.Index}
				name := descriptors.Of(descriptors.Socket, w.a.opt.Index)
				return errors.Join(unix.Bind(fd, all), w.store.Put(name, fd))
			}))
			return w.a.opt
		}, ErrForeign},
		"no socket": {func(t *testing.T, w *world) Options {
			f, err := os.Open("/dev/null")
			labtest.Must(t, err)
			defer f.Close()
			labtest.Must(t, w.store.Put(descriptors.Of(descriptors.Socket, w.a.opt.Index), int(f.Fd())))
			return w.a.opt
		}, ErrForeign},
		"a socket that receives something else": {func(t *testing.T, w *world) Options {
			labtest.Must(t, w.a.withFD(func(fd int) error {
				return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ARP), Ifindex: w.a.opt.Index})
			}))
			return w.a.opt
		}, ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			store := descriptorstest.New(t)
			w := &world{newPair(t, Options{Store: store}), store}
			o := tt.spoil(t, w)
			die(t, w.a)
			if s, err := adopt(t, w.pair, store, o); s != nil || !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A NIC that was down and is up, and one with another name, are the same.
func TestAdoptAfterDownAndRename(t *testing.T) {
	store := descriptorstest.New(t)
	p := newPair(t, Options{Store: store})
	die(t, p.a)
	labtest.Must(t, p.host.Down("a"))
	l, err := p.host.Handle().LinkByIndex(p.a.opt.Index)
	labtest.Must(t, err)
	labtest.Must(t, p.host.Handle().LinkSetName(l, "renamed"))
	o := p.a.opt
	o.Name = "renamed"
	s, err := adopt(t, p, store, o)
	labtest.Must(t, err)
	if _, err := s.Receive(); !errors.Is(err, ErrDown) {
		t.Errorf("down: %v", err)
	}
	labtest.Must(t, p.host.Up("renamed"))
	labtest.Eventually(t, "carrier", func() bool { return s.Carrier() && p.b.Carrier() })
	for { // the peer's NIC was without carrier, too
		if _, err := p.b.Poll(); err == nil {
			break
		}
	}
	labtest.Must(t, p.b.SendControl(testFrame(7)))
	collect(t, s, 1)
}
