// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/descriptors"
	"nicteam/internal/descriptors/descriptorstest"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// sharedWorld is a world whose far end asks na by ARP, to see whether the host's stack receives.
func sharedWorld(t *testing.T) (w *world, store *descriptorstest.Store, h *Host, index int) {
	t.Helper()
	kernelHas(t, tchook.ByTCX)
	labtest.Tool(t, "ping", "iputils-ping")
	w = newWorld(t)
	farEnd(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	store = descriptorstest.New(t)
	h = w.openLife(store)
	return w, store, h, recorded(t, h)
}

// theLink is the link of the only program on the ingress of a NIC.
func theLink(t *testing.T, index int) link.ID {
	t.Helper()
	there := programs(t, index)
	if len(there) != 1 {
		t.Fatalf("%d programs, want one", len(there))
	}
	id, _ := there[0].LinkID()
	return id
}

// A program that isolates has the isolation's link, whichever comes first, and gives it back.
func TestOneLink(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, first := range []string{"attached", "isolated"} {
		t.Run(first+" first", func(t *testing.T) {
			_, store, h, index := sharedWorld(t)
			if first == "isolated" {
				must(t, h.Isolate(index))
			}
			c, err := h.AttachIsolating(index, verdict(t, "passes", pass))
			must(t, err)
			must(t, h.Isolate(index))
			was := theLink(t, index)
			if !answersARP(t) {
				t.Error("what our program passed was dropped")
			}
			if got := store.Stored(); len(got) != 1 || got[0] != descriptors.Of(descriptors.Isolation, index) {
				t.Errorf("stored: %v", got)
			}
			must(t, h.CheckAttached(index))
			for range 2 {
				must(t, c.Close())
				if answersARP(t) {
					t.Error("the isolation went with our program")
				}
			}
			c, err = h.AttachIsolating(index, verdict(t, "passes", pass))
			must(t, err)
			if theLink(t, index) != was {
				t.Error("another link than before")
			}
			if _, err := h.AttachIsolating(index, verdict(t, "passes", pass)); err == nil {
				t.Error("a second program was attached")
			}
			must(t, h.Unisolate(index))
			if n := len(programs(t, index)); n != 0 {
				t.Errorf("%d programs are left", n)
			}
			must(t, c.Close())
			must1(h.Finish())
			if left := store.Stored(); len(left) > 0 {
				t.Errorf("left in the store: %v", left)
			}
		})
	}
}

// The next process leaves the program of the one before in the isolation's link, until it puts its own there.
func TestOneLinkOutlivesProcess(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for name, c := range map[string]struct {
		do      func(t *testing.T, h *Host, index int)
		answers bool // by the program that is there then, in place of one that drops
	}{
		"attached again": {func(t *testing.T, h *Host, index int) {
			must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
			must(t, h.DropInherited(true))
		}, true},
		"detached": {func(t *testing.T, h *Host, index int) {
			must(t, h.DetachInherited(index, ebpf.AttachTCXIngress))
		}, false},
		"dropped":      {func(t *testing.T, h *Host, index int) { must(t, h.DropInherited(false)) }, false},
		"not attached": {func(t *testing.T, h *Host, index int) { must(t, h.DropInherited(true)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, store, h, index := sharedWorld(t)
			must(t, h.Isolate(index))
			must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
			was := theLink(t, index)
			must(t, h.HandOver())
			h = w.openLife(store)
			if !h.Inherited(index, ebpf.AttachTCXIngress) {
				t.Error("the program of the process before is not inherited")
			}
			must(t, h.Isolate(index))
			must(t, h.Isolate(index))
			if !answersARP(t) {
				t.Error("the program of the process before was replaced, and it may move frames")
			}
			c.do(t, h, index)
			if got := answersARP(t); got != c.answers {
				t.Errorf("answers %v", got)
			}
			if theLink(t, index) != was || h.Inherited(index, ebpf.AttachTCXIngress) {
				t.Error("it is another link, or still inherited")
			}
			must(t, h.DropInherited(true))
			theLink(t, index)
		})
	}
}

// A NIC that is no member of the next process receives for itself again.
func TestOneLinkOfNoMember(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w, store, h, index := sharedWorld(t)
	must(t, h.Isolate(index))
	must1(h.AttachIsolating(index, verdict(t, "leaves", next)))
	must(t, h.HandOver())
	h = w.openLife(store)
	must(t, h.DropInherited(false))
	if answersARP(t) {
		t.Error("it is not isolated")
	}
	must(t, h.DropInherited(true))
	if n := len(programs(t, index)); n != 0 || !answersARP(t) {
		t.Errorf("%d programs are left", n)
	}
}

// A process of an earlier build has left two links: each gets the program of this one in place.
func TestTwoLinksOfAnEarlierBuild(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w, store, h, index := sharedWorld(t)
	must(t, h.Isolate(index))
	must1(h.Attach(index, ebpf.AttachTCXIngress, verdict(t, receiveName, next)))
	was := programs(t, index)
	if len(was) != 2 {
		t.Fatalf("%d programs, want two", len(was))
	}
	must(t, h.HandOver())
	h = w.openLife(store)
	c := must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
	must(t, h.Isolate(index))
	must(t, h.DropInherited(true))
	now := programs(t, index)
	if len(now) != 2 {
		t.Fatalf("%d programs, want two", len(now))
	}
	for i := range now {
		a, _ := now[i].LinkID()
		b, _ := was[i].LinkID()
		if a != b || now[i].ID == was[i].ID {
			t.Errorf("program %d: %v, was %v: want another program by the same link", i, now[i], was[i])
		}
	}
	if !answersARP(t) {
		t.Error("what our program passed was dropped")
	}
	must(t, c.Close())
	theLink(t, index)
	if answersARP(t) {
		t.Error("it is not isolated")
	}
	must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
	theLink(t, index)
}

// A program of somebody else keeps its frames.
func TestOneLinkBesideAnother(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	_, _, h, index := sharedWorld(t)
	must(t, h.Isolate(index))
	foreign := must1(link.AttachTCX(link.TCXOptions{Interface: index, Program: verdict(t, "foreign", next),
		Attach: ebpf.AttachTCXIngress}))
	_, err := h.AttachIsolating(index, verdict(t, "passes", pass))
	if !errors.As(err, new(*tchook.HookHeld)) || answersARP(t) {
		t.Errorf("attached beside another program: %v", err)
	}
	must(t, foreign.Close())
	must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
}

// Another program has detached the link: both of its duties are noticed, and done again by one link.
func TestOneLinkIsDetached(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	_, store, h, index := sharedWorld(t)
	must(t, h.Isolate(index))
	c := must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
	l := must1(link.NewFromID(theLink(t, index)))
	must(t, l.Detach())
	h.DetachGone() // each event of a link looks for NICs that have left: this one has not
	must(t, l.Close())
	if again, err := h.IsolateAgain(index); !again || err != nil {
		t.Errorf("isolated again: %v, %v", again, err)
	}
	if h.CheckAttached(index) == nil {
		t.Error("the detached program is not noticed")
	}
	must(t, c.Close())
	if answersARP(t) {
		t.Error("it is not isolated")
	}
	must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
	theLink(t, index)
	must(t, h.CheckAttached(index))
	if got := store.Stored(); len(got) != 1 || got[0] != descriptors.Of(descriptors.Isolation, index) {
		t.Errorf("stored: %v", got)
	}
}
