// SPDX-License-Identifier: MIT

package host

import (
	"testing"

	"nicteam/internal/descriptors"
	"nicteam/internal/host/journal"
	"nicteam/internal/lab/labtest"
)

// prepare begins the isolation of na, and waits until the program is there.
func prepare(t *testing.T, h *Host, index int) {
	t.Helper()
	h.PrepareIsolation([]journal.Member{{Identity: journal.Identity{Name: "na", Index: index}}})
	labtest.Eventually(t, "the program that lets all pass", func() bool { return len(programs(t, index)) == 1 })
}

// What is prepared lets everything pass and ends with the process; to isolate changes the program in its link.
func TestPreparedIsolation(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	_, store, h, index := sharedWorld(t)
	prepare(t, h, index)
	was := theLink(t, index)
	if !answersARP(t) {
		t.Error("the host's stack receives nothing before the NIC is isolated")
	}
	if left := store.Stored(); len(left) > 0 {
		t.Errorf("stored before it isolates: %v", left)
	}
	must(t, h.Isolate(index))
	if theLink(t, index) != was {
		t.Error("another link than the prepared one")
	}
	if answersARP(t) {
		t.Error("it is not isolated")
	}
	if got := store.Stored(); len(got) != 1 || got[0] != descriptors.Of(descriptors.Isolation, index) {
		t.Errorf("stored: %v", got)
	}
	must1(h.AttachIsolating(index, verdict(t, "passes", pass)))
	must(t, h.DropInherited(true))
	theLink(t, index)
}

// Nothing is left of what was prepared and not used.
func TestPreparedInVain(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for name, end := range map[string]func(h *Host, index int) error{
		"the start ends":      func(h *Host, _ int) error { return h.DropInherited(true) },
		"the process ends":    func(h *Host, _ int) error { return h.Close() },
		"it hands over":       func(h *Host, _ int) error { return h.HandOver() },
		"the member is freed": func(h *Host, index int) error { return h.Unisolate(index) },
		"all are given back":  func(h *Host, _ int) error { _, err := h.ReleaseAll(nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, h, index := sharedWorld(t)
			prepare(t, h, index)
			must(t, end(h, index))
			if n := len(programs(t, index)); n != 0 || !answersARP(t) {
				t.Errorf("%d programs are left", n)
			}
		})
	}
}
