// SPDX-License-Identifier: MIT

package host

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/descriptors"
	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// openLife opens the host as the process after the one before, which has ended: nobody has called Close.
func (w *world) openLife(store *descriptorstest.Store) *Host {
	w.t.Helper()
	store.Next()
	w.store = store
	return w.open(nil)
}

// programs are the tcx programs on the ingress of a NIC, with the links that hold them.
func programs(t *testing.T, index int) []link.AttachedProgram {
	t.Helper()
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	must(t, err)
	return got.Programs
}

// A NIC stays isolated from process to process, each puts its own program in the place of the one of before, and the
// last one ends it.
func TestIsolationOutlivesProcess(t *testing.T) {
	kernelHas(t, tchook.ByTCX)
	labtest.Tool(t, "ping", "iputils-ping")
	w := newWorld(t)
	farEnd(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	before := snapshot(t)
	store := descriptorstest.New(t)
	h := w.openLife(store)
	index := recorded(t, h)
	receive := verdict(t, receiveName, next)
	must(t, h.Isolate(index))
	_, err := h.Attach(index, ebpf.AttachTCXIngress, receive)
	must(t, err)
	was := programs(t, index)
	for range 2 {
		must(t, h.HandOver())
		if answersARP(t) {
			t.Fatal("the isolation went with the process")
		}
		h = w.openLife(store)
		if !h.Inherited(index, ebpf.AttachTCXIngress) {
			t.Error("the program of the process before is not inherited")
		}
		must(t, h.Isolate(index))
		must(t, h.Isolate(index))
		again := verdict(t, receiveName, next)
		_, err := h.Attach(index, ebpf.AttachTCXIngress, again)
		must(t, err)
		if h.Inherited(index, ebpf.AttachTCXIngress) {
			t.Error("the program is inherited after it was replaced")
		}
		if _, err := h.Attach(index, ebpf.AttachTCXIngress, again); err == nil {
			t.Error("a second program was attached")
		}
		now := programs(t, index)
		if len(now) != 2 {
			t.Fatalf("programs %v, were %v", now, was)
		}
		for i := range now {
			a, _ := now[i].LinkID()
			b, _ := was[i].LinkID()
			if a != b || now[i].ID == was[i].ID {
				t.Errorf("program %d: %v, was %v: want another program by the same link", i, now[i], was[i])
			}
		}
		must(t, h.DropInherited(true)) // nothing is left that nobody claimed
		if len(programs(t, index)) != 2 {
			t.Error("claimed programs were dropped")
		}
		was = now
	}
	if answersARP(t) {
		t.Error("the host's stack answers in spite of isolation")
	}
	must(t, h.Unisolate(index))
	h.hooks.Forget(index)
	must1(h.Finish())
	must(t, h.Close())
	if left := store.Stored(); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
	compare(t, before, snapshot(t))
}

// What nobody claims is detached: of a NIC that is no member any more, and programs that nobody serves.
func TestDropInherited(t *testing.T) {
	kernelHas(t, tchook.ByTCX)
	w := newWorld(t)
	store := descriptorstest.New(t)
	h := w.openLife(store)
	index := recorded(t, h)
	must(t, h.Isolate(index))
	_, err := h.Attach(index, ebpf.AttachTCXIngress, verdict(t, receiveName, next))
	must(t, err)
	must(t, h.HandOver())
	h = w.openLife(store)
	must(t, h.DropInherited(false))
	if n := len(programs(t, index)); n != 1 {
		t.Errorf("%d programs, want the isolation", n)
	}
	must(t, h.DropInherited(true))
	if n := len(programs(t, index)); n != 0 {
		t.Errorf("%d programs are left", n)
	}
	if left := store.Stored(); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// Descriptors that are not what their names say are dropped, and the NIC is isolated anew.
func TestInheritedLinkIsGone(t *testing.T) {
	kernelHas(t, tchook.ByTCX)
	for name, spoil := range map[string]func(t *testing.T, index int, s *descriptorstest.Store){
		"detached": func(t *testing.T, index int, s *descriptorstest.Store) {
			s.Next()
			fd, _ := s.Take(descriptors.Of(descriptors.Isolation, index))
			l := must1(link.NewFromFD(fd))
			must(t, l.Detach())
			must(t, l.Close())
		},
		"of another NIC": func(_ *testing.T, index int, s *descriptorstest.Store) {
			s.Rename(descriptors.Of(descriptors.Isolation, index), descriptors.Of(descriptors.Isolation, index+1))
		},
		"no link": func(t *testing.T, index int, s *descriptorstest.Store) {
			must(t, s.Put(descriptors.Of(descriptors.Isolation, index), 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := descriptorstest.New(t)
			h := w.openLife(store)
			index := recorded(t, h)
			must(t, h.Isolate(index))
			must(t, h.HandOver())
			spoil(t, index, store)
			h = w.openLife(store)
			must(t, h.Isolate(index))
			if n := len(programs(t, index)); n != 1 {
				t.Errorf("%d programs, want one", n)
			}
			must(t, h.Unisolate(index))
			if left := store.Stored(); len(left) > 0 {
				t.Errorf("left in the store: %v", left)
			}
		})
	}
}

// Filters outlive the process by themselves. While the store has what their programs read, they are replaced in place.
func TestFilterOutlivesProcess(t *testing.T) {
	kernelHas(t, tchook.ByClsact)
	w := newWorld(t)
	before := snapshot(t)
	store := descriptorstest.New(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	defer m.Close()
	stored := descriptors.Map("0", "controls")
	must(t, store.Put(stored, m.FD()))
	h := w.openLife(store)
	h.hooks.Method = tchook.ByClsact
	index := recorded(t, h)
	_, err = h.Attach(index, ebpf.AttachTCXIngress, verdict(t, receiveName, next))
	must(t, err)
	filter := func() string { return run(t, "tc filter show dev na ingress") }
	first := filter()
	must(t, h.HandOver())
	h = w.openLife(store)
	h.hooks.Method = tchook.ByClsact
	must(t, h.Begin())
	if got := filter(); got != first {
		t.Errorf("filters %q, were %q", got, first)
	}
	if !h.Inherited(index, ebpf.AttachTCXIngress) {
		t.Error("the filter is not inherited")
	}
	c, err := h.Attach(index, ebpf.AttachTCXIngress, verdict(t, receiveName, next))
	must(t, err)
	if h.Inherited(index, ebpf.AttachTCXIngress) {
		t.Error("the filter is inherited after it was replaced")
	}
	if got := filter(); got == first || strings.Count(got, "handle") != 1 {
		t.Errorf("filters %q, were %q", got, first)
	}
	must(t, c.Close())
	if got := filter(); got != "" {
		t.Errorf("filters %q are left", got)
	}
	// A process that does not go on with them detaches them.
	_, err = h.Attach(index, ebpf.AttachTCXIngress, verdict(t, receiveName, next))
	must(t, err)
	must(t, h.HandOver())
	h = w.openLife(store)
	h.hooks.Method = tchook.ByClsact
	must(t, h.Begin())
	must(t, h.DropInherited(false))
	if got := filter(); got != "" {
		t.Errorf("filters %q are left", got)
	}
	must1(h.Finish())
	compare(t, before, snapshot(t))
}
