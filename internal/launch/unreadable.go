// SPDX-License-Identifier: MIT

package launch

import (
	"fmt"
	"os"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/host"
)

// checkJournal refuses a team whose journal says that something of it is left. One that cannot be used gives way to
// --force, with a note, if no other team needs it.
func (o CreateOptions) checkJournal(h *host.Host) (notes []string, problem *api.Problem) {
	if note := h.JournalNote(); note != "" {
		notes = append(notes, note)
	}
	name := o.Config.Team
	p, replaceable := h.JournalProblem(), h.JournalReplaceable()
	switch {
	case p == nil && h.HasJournal():
		p = &api.Problem{Kind: api.Conflict, What: "create " + name,
			Why: "an earlier process of the team ended and left its journal",
			Fix: fmt.Sprintf("nicteam restore %s puts the host back; nicteam run %s --config %s resumes the team",
				name, name, o.RunningConfig(name))}
		if o.Force {
			p.Why += "; --force does not help, as the NICs are still as the team left them"
		}
		return notes, p
	case p == nil:
		return notes, nil
	case replaceable && o.Force && adapterThere(h, name):
		p.Why += "; --force does not help while " + name + " is there: it may have the addresses of the host"
	case replaceable && o.Force:
		return append(notes, fmt.Sprintf("%s; put aside as %s, and nothing is restored from it", p.Why,
			o.unreadableFile(name))), nil
	case replaceable:
		p.Fix += "; or put the journal aside with --force: the NICs are then taken as they are now"
	case o.Force:
		p.Why += "; --force does not help: that team could not be restored without it"
	}
	return notes, p
}

func adapterThere(h *host.Host, name string) bool {
	_, err := h.NIC(name)
	return err == nil
}

// unreadableFile is where a journal goes that could not be used.
func (d Dirs) unreadableFile(name string) string { return d.journalFile(name) + ".unreadable" }

// putAside renames a journal that cannot be used. checkJournal has said so.
func (o CreateOptions) putAside() error {
	if !o.Force {
		return nil
	}
	name := o.Config.Team
	h, err := host.Open(host.Options{StateDir: o.StateDir, Team: name, Logger: o.Log})
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if !h.JournalReplaceable() {
		return nil
	}
	if err = os.Rename(o.journalFile(name), o.unreadableFile(name)); err == nil {
		err = atomicfile.SyncDir(o.journalFile(name))
	}
	if err != nil {
		return &api.Problem{Kind: api.Failed, What: "put the journal of " + name + " aside", Why: err.Error(),
			Fix: "move it away by hand: " + o.journalFile(name), Err: err}
	}
	return nil
}
