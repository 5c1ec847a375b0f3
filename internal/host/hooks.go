// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"

	"nicteam/internal/host/journal"
	"nicteam/internal/tchook"
)

// hookLink identifies the NIC for package tchook.
func (n NIC) hookLink() tchook.Link { return tchook.Link{Name: n.Name, Index: n.Index} }

// hookJournal implements tchook.Journal for one link: a member's, or the adapter's (no 0).
type hookJournal struct {
	j  *journal.Journal
	no int
}

func (r hookJournal) Recorded() tchook.Recorded {
	if r.no == 0 {
		on := r.j.State.AdapterHooks
		return tchook.Recorded{Clsact: on.Clsact, Hooks: on.Hooks}
	}
	m := r.j.State.ByNo(r.no)
	return tchook.Recorded{Method: m.Method, Clsact: m.Clsact, Hooks: m.Hooks}
}

func (r hookJournal) Isolating(m tchook.Method, clsact bool) error {
	return r.j.Write(journal.Record{Kind: journal.KindIsolate, No: r.no, Method: m, Qdisc: clsact})
}

func (r hookJournal) Unisolated() error {
	return r.j.Write(journal.Record{Kind: journal.KindUnisolate, No: r.no, Done: true})
}

func (r hookJournal) Attaching(hook string, clsact bool) error {
	return r.j.Write(journal.Record{Kind: journal.KindAttach, No: r.no, Hook: hook, Qdisc: clsact})
}

func (r hookJournal) Detached(hook string) error {
	return r.j.Write(journal.Record{Kind: journal.KindDetach, No: r.no, Hook: hook, Done: true})
}

// hookJournalOf returns the journal of a present member or the adapter.
func (h *Host) hookJournalOf(n NIC) (hookJournal, error) {
	j, err := h.currentJournal()
	if err != nil {
		return hookJournal{}, err
	}
	if a := j.State.Adapter; a != nil && a.Index == n.Index && n.Kind == "tun" {
		return hookJournal{j, 0}, nil
	}
	m := j.State.ByIdentity(n.Identity())
	if m == nil || m.Left {
		return hookJournal{}, errors.New("it is no recorded member and not the adapter")
	}
	return hookJournal{j, m.No}, nil
}

// attachment is the io.Closer that Attach returns.
type attachment struct {
	h  *Host
	no int // of the member, 0: the adapter
	on *tchook.Attached
}

// Attach attaches a tc program to a hook of a recorded member or of the adapter; see tchook.Hooks.Attach.
//
// The caller may close p afterwards. Closing the result detaches the program, as do the release of its NIC and the end
// of the team. A second Close, or one after the NIC is gone, is fine.
func (h *Host) Attach(index int, at ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	return h.attach(index, at, tchook.Program{Program: p})
}

// AttachIsolating is Attach to the ingress of a member, of a program that isolates what it lets pass. Where the member
// is isolated by tcx it takes the place of that program.
func (h *Host) AttachIsolating(index int, p *ebpf.Program) (io.Closer, error) {
	return h.attach(index, ebpf.AttachTCXIngress, tchook.Program{Program: p, Isolates: true})
}

func (h *Host) attach(index int, at ebpf.AttachType, p tchook.Program) (io.Closer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.nicAt(index)
	if err != nil {
		return nil, fmt.Errorf("attach program: %w", err)
	}
	j, err := h.hookJournalOf(n)
	if err != nil {
		return nil, fmt.Errorf("attach program to %s of %s: %w", tchook.HookName(at), n.Name, err)
	}
	a, err := h.hooks.Attach(n.hookLink(), at, p, j)
	if err != nil {
		return nil, err
	}
	return &attachment{h, j.no, a}, nil
}

// Close detaches the program.
func (a *attachment) Close() error {
	h := a.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hooks.Holds(a.on) || !a.on.ByFilter() {
		return h.hooks.Detach(a.on, tchook.Link{}, false, nil)
	}
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("detach program: %w", err)
	}
	n, err := h.nicAt(a.on.Index())
	if err != nil && !errors.Is(err, ErrNoNIC) {
		return fmt.Errorf("detach program: %w", err)
	}
	there, e := h.hookJournalOf(n)
	gone := err != nil || e != nil || there.no != a.no
	return h.hooks.Detach(a.on, n.hookLink(), gone, hookJournal{j, a.no})
}

// PrepareIsolation begins to do what Isolate of these NICs waits for, see tchook.Hooks.Prepare. They are recorded.
func (h *Host) PrepareIsolation(members []journal.Member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	links := make([]tchook.Link, len(members))
	for i, m := range members {
		links[i] = tchook.Link{Name: m.Name, Index: m.Index}
	}
	h.hooks.Prepare(links)
}

// Isolate hides a recorded member's received frames from the host's IP stack, except the NIC's own protocols
// (tchook/bpf/isolate.c). The member's packet socket must be open before. It may be repeated.
func (h *Host) Isolate(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hooks.Isolated(index) {
		return nil
	}
	n, err := h.nicAt(index)
	if err != nil {
		h.hooks.EndIsolation(index)
		return fmt.Errorf("isolate: %w", err)
	}
	return h.hooks.Isolate(n.hookLink(), func() (tchook.Journal, error) {
		j, err := h.currentJournal()
		if err != nil {
			return nil, err
		}
		m := j.State.ByIdentity(n.Identity())
		if m == nil {
			return nil, fmt.Errorf("NIC %s: not recorded", n.Name)
		}
		return hookJournal{j, m.No}, nil
	})
}

// Unisolate ends the isolation.
func (h *Host) Unisolate(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks.EndIsolation(index)
	if h.journal == nil {
		return nil
	}
	n, err := h.nicAt(index)
	if errors.Is(err, ErrNoNIC) {
		return nil // filters and chains go with the NIC
	}
	if err != nil {
		return fmt.Errorf("end isolation: %w", err)
	}
	if m := h.journal.State.ByIdentity(n.Identity()); m != nil {
		return h.hooks.Unisolate(n.hookLink(), hookJournal{h.journal, m.No})
	}
	return nil
}

// DetachGone detaches the team's programs from NICs that have left for another network namespace.
func (h *Host) DetachGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks.DetachGone()
}

// Inherited reports whether a hook has a program of the process before, which Attach replaces in place.
func (h *Host) Inherited(index int, at ebpf.AttachType) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hooks.Inherited(index, at)
}

// DetachInherited detaches such a program, if there is one.
func (h *Host) DetachInherited(index int, at ebpf.AttachType) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.nicAt(index)
	if errors.Is(err, ErrNoNIC) {
		return nil // gone with all programs
	}
	if err != nil {
		return fmt.Errorf("detach program: %w", err)
	}
	return h.hooks.DetachInherited(n.hookLink(), at, func() (tchook.Journal, error) { return h.hookJournalOf(n) })
}

// DropInherited detaches what the process before left attached and Attach has not replaced: the programs of the data
// path, and with isolation also those that isolate NICs and Isolate has not replaced. A start that does not go on with
// what that process left begins with DropInherited(false), for nobody updates what these programs read: frames go to
// the relay. Each start ends with DropInherited(true): NICs that did not become members receive for themselves again.
func (h *Host) DropInherited(isolation bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	stayed := h.hooks.FiltersStay()
	h.hooks.DropInherited(isolation)
	if stayed && h.journal != nil && !h.hooks.Attached() {
		return h.sweepHooks()
	}
	return nil
}

// HooksFree returns a *tchook.HookHeld if Attach would find another program or filter on the ingress of a NIC or the
// egress of the adapter, if there is one. It changes nothing.
func (h *Host) HooksFree(names []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		n, err := h.nic(name)
		if err != nil {
			return fmt.Errorf("check hooks: %w", err)
		}
		if err := h.hooks.CheckFree(n.hookLink(), ebpf.AttachTCXIngress); err != nil {
			return err
		}
	}
	if a, ok := h.adapter(); ok {
		return h.hooks.CheckFree(a.hookLink(), ebpf.AttachTCXEgress)
	}
	return nil
}

// detachFromAdapter detaches all programs of the team from the adapter.
func (h *Host) detachFromAdapter(j *journal.Journal) error {
	a, ok := h.adapter()
	if !ok {
		return nil // gone with all programs
	}
	return h.hooks.DetachAll(a.hookLink(), hookJournal{j, 0})
}

// sweepHooks detaches programs that a killed process of this team left. Nobody updates their maps any more.
func (h *Host) sweepHooks() error {
	j := h.journal
	var errs []error
	for _, m := range j.State.Members {
		if len(m.Hooks) == 0 {
			continue
		}
		_, n, err := h.memberLink(m)
		if errors.Is(err, ErrNoNIC) {
			continue
		}
		if err == nil {
			err = h.hooks.DetachAll(n.hookLink(), hookJournal{j, m.No})
		}
		errs = append(errs, err)
	}
	if len(j.State.AdapterHooks.Hooks) > 0 {
		errs = append(errs, h.detachFromAdapter(j))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear hooks: %w", err)
	}
	return nil
}
