package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// Renamed is a member as it is since somebody changed it.
type Renamed struct {
	Was  string // its name until now
	Name string
	MAC  frame.MAC // zero: as it was
}

// MembersRenamed has the journal know members by the names and MACs that they have by other hands, all at once: two may have
// changed names.
func (h *Host) MembersRenamed(list []Renamed) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return err
	}
	members := make([]*memberState, len(list))
	for i, r := range list {
		members[i] = j.state.byName(r.Was)
	}
	for i, r := range list {
		m := members[i]
		if m != nil && r.MAC == 0 {
			r.MAC = m.MAC
		}
		if m == nil || m.Name == r.Name && m.MAC == r.MAC {
			continue
		}
		if err := j.write(record{Kind: kindChanged, Done: true, No: m.no, Now: &beingRecord{r.Name, r.MAC}}); err != nil {
			return h.journalProblem(err)
		}
	}
	return nil
}

// AdapterRenamed has journal and policy rules know the adapter by the name that somebody gave it. A rule names links by their
// names, so that those of members' rules that it has copies of would match nothing any more.
func (h *Host) AdapterRenamed(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return err
	}
	n, err := h.nicAt(index)
	if err != nil {
		return err
	}
	was := j.state.begin.Team
	a := adapterRecord{Name: n.Name, Index: n.Index, MAC: n.MAC}
	if j.state.adapter != nil {
		was, a.MAC = j.state.adapter.Name, j.state.adapter.MAC
	}
	if was == n.Name {
		return nil
	}
	if err := j.write(record{Kind: kindAdapter, Done: true, Adapter: &a}); err != nil {
		return h.journalProblem(err)
	}
	copies, err := h.rt.RulesNaming(was)
	if err != nil {
		return err
	}
	names := h.lenders(nil)
	for _, m := range j.state.members {
		for _, r := range m.Rules {
			old, next := rtnl.RuleFor(r, names, was), rtnl.RuleFor(r, names, n.Name)
			if !m.adopted || !rtnl.HasRule(copies, old) {
				continue // somebody has removed it
			}
			err := h.rt.Change("copy rule of "+was, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, next)
			if err == nil {
				err = h.rt.Change("remove rule of "+was, unix.RTM_DELRULE, 0, old)
			}
			if err != nil {
				return fmt.Errorf("rules of %s, which was %s: %w", n.Name, was, err)
			}
		}
	}
	return nil
}

// AdapterName is what the adapter of the journal is called, "" without one.
func (h *Host) AdapterName() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, _ := h.adapter()
	return a.Name
}
