// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/host/journal"
)

// Release gives one member back while the team goes on: flags, MTU, sysctls and features. Addresses that moved stay on
// the adapter until the team ends. A NIC whose MAC the adapter has (MAC donor) is released down: whatever it sent by
// itself would draw the team's traffic to a NIC that is no longer in the team. note says so, and what else is worth
// saying; "" for nothing.
func (h *Host) Release(nic string, donor bool) (note string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return "", fmt.Errorf("release NIC %s: %w", nic, err)
	}
	h.endRebinding()
	m, err := h.memberNamed(j, nic)
	if err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	left := journal.Record{Kind: journal.KindLeft, No: m.No, ConfigOnAdapter: m.Adopted}
	l, n, err := h.memberLink(m)
	if err != nil {
		// Gone: the kernel has forgotten our changes. Its config on the adapter stays its own.
		h.hooks.EndIsolation(m.Index)
		h.hooks.Forget(m.Index)
		left.Done = true
		return fmt.Sprintf("NIC %s is absent: nothing to restore", m.Name), j.Write(left)
	}
	var notes []string
	a, there := h.adapter()
	if m.Up && sharesMAC(a, there, n, donor) {
		left.Down = true
		notes = append(notes, releasedDown(n))
	}
	if err := j.Write(left); err != nil {
		return "", h.writeProblem(err)
	}
	b := &giveBack{h: h, j: j, indexNow: map[int]int{m.Index: n.Index}}
	b.addMember(m, l, n)
	err = runAll(
		func() error { return b.restoreLinks(left.Down) },
		func() error {
			if m.Adopted {
				return b.giveLinkLocals(a, left.Down)
			}
			return b.restoreUnmoved(left.Down)
		},
		b.unisolate,
		func() error {
			if m.Adopted || left.Down {
				return nil
			}
			return b.restoreRAState()
		},
		b.restoreLateSysctls,
	)
	h.hooks.AwaitDetached()
	note = strings.Join(append(notes, b.notes...), "; ")
	if err != nil {
		return note, fmt.Errorf("release NIC %s: %w", m.Name, err)
	}
	left.Done = true
	return note, j.Write(left)
}

// sharesMAC reports whether the adapter, if it is there, has the NIC's MAC.
func sharesMAC(a NIC, there bool, n NIC, donor bool) bool {
	return donor && !there || there && a.MAC == n.MAC
}

// releasedDown says why a NIC is not brought up again.
func releasedDown(n NIC) string {
	return fmt.Sprintf("%s is released down: the adapter has its MAC %s, and two NICs with one MAC on a LAN draw each "+
		"other's traffic; bring it up on another LAN with: ip link set %s up (create --mac new avoids this)", n.Name,
		n.MAC, n.Name)
}

// adapter returns the team's TAP if it exists and is ours.
func (h *Host) adapter() (NIC, bool) {
	if h.journal == nil || h.journal.State.Ended {
		return NIC{}, false
	}
	return h.adapterOf(&h.journal.State)
}

// adapterOf returns the TAP that a journal describes.
func (h *Host) adapterOf(s *journal.State) (NIC, bool) {
	isTAP := func(n NIC, err error) bool { return err == nil && n.Kind == "tun" && n.Ethernet }
	if s.Adapter != nil {
		n, err := h.linkAt(s.Adapter.Index)
		return n, isTAP(n, err)
	}
	name, before := h.o.Team, []int(nil)
	if s.Begin != nil {
		name, before = s.Begin.Team, s.Begin.Links
	}
	// A TAP whose ifindex was not journalled was created after Begin, when no link had its name. Its ifindex may be
	// lower than others of then: links moved from another namespace keep theirs.
	n, err := h.linkNamed(name)
	return n, isTAP(n, err) && !slices.Contains(before, n.Index)
}
