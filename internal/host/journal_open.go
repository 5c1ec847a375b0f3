package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
)

// load reads the team's journal and finds out whose it is.
func (h *Host) load() error {
	path := journal.PathOf(h.o.StateDir, h.o.Team)
	j, err := journal.Open(path, h.at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, journal.ErrNewer) {
		h.unusable = newerProblem(h.o.Team, path, err)
		return nil
	}
	if err != nil {
		return h.journalProblem(err)
	}
	here, err := journal.Here()
	if err != nil {
		j.Close()
		return err
	}
	if j.State.Begin == nil {
		h.adrift(j, here)
		return nil
	}
	switch of := j.State.Begin.Where(); {
	case of.Boot != here.Boot:
		h.setAside(j, "the journal is of an earlier boot: nothing of that team is left on the host")
	case of.Same(here):
		h.journal = j
	case of.Exists():
		j.Close()
		h.unusable = elsewhereProblem(h.o.Team, path, of, here)
	default:
		h.setAside(j, "the journal is of a network namespace that is gone: nothing of that team is left")
	}
	return nil
}

// adrift deals with a journal that has lost its beginning, and so does not say of which boot and namespace it is.
func (h *Host) adrift(j *journal.Journal, here journal.Location) {
	s := &j.State
	a, there := h.adapterOf(s)
	switch {
	case j.WrittenBeforeBoot():
		h.setAside(j, "the journal is damaged and of an earlier boot: nothing of that team is left on the host")
	case !there && len(j.Damaged) == 0:
		// Nothing is done before the first record is on disk.
		h.setAside(j, "the journal was empty")
	case there && s.Adapter != nil && s.Adapter.Name == a.Name:
		s.Begin = &journal.BeginRecord{Team: h.o.Team, Boot: here.Boot, NetNS: here.NetNS, Cookie: here.Cookie}
		h.journal = j
	default:
		j.Close()
		h.unusable = damagedProblem(h.o.Team, j.Path, "it has lost its beginning, so it does not say of which host it is")
	}
}

// setAside has a journal that means nothing any more make room when that is needed.
func (h *Host) setAside(j *journal.Journal, why string) {
	j.Close()
	h.note, h.aside = why, j.Path
}

// makeRoom puts such a journal aside. It is kept under another name for the curious.
func (h *Host) makeRoom() error {
	if h.aside == "" {
		return nil
	}
	if err := h.at("put journal aside"); err != nil {
		return err
	}
	h.log.Info("journal put aside", "team", h.o.Team, "reason", h.note)
	err := os.Rename(h.aside, h.aside+".old")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	h.aside = ""
	return journal.SyncDir(journal.PathOf(h.o.StateDir, h.o.Team))
}

// Begin opens the team's journal, or goes on with the one that is there, before anything is changed. The
// adapter is named like the team; from here on a new TAP of that name is ours. What programs of a process that was
// killed are still on hooks are taken off.
func (h *Host) Begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unusable != nil {
		return h.unusable
	}
	if h.journal != nil && !h.journal.State.Ended {
		if h.journal.Version < journal.Version { // what knows only that must not cut off what is written now
			if err := h.journal.Compact(); err != nil {
				return err
			}
		}
		if h.hooks.Attached() {
			return nil
		}
		return h.sweepHooks()
	}
	here, err := journal.Here()
	if err != nil {
		return err
	}
	list, err := h.links()
	if err != nil {
		return err
	}
	begin := journal.State{Begin: &journal.BeginRecord{Team: h.o.Team, Boot: here.Boot, NetNS: here.NetNS, Cookie: here.Cookie}}
	for _, n := range list {
		begin.Begin.Links = append(begin.Begin.Links, n.Index)
	}
	if h.journal != nil {
		begin.Members = h.journal.State.Members // NICs that are away
	}
	if err := h.makeRoom(); err != nil {
		return h.journalProblem(err)
	}
	j, err := journal.Create(journal.PathOf(h.o.StateDir, h.o.Team), begin.Records(), h.at)
	if err != nil {
		return h.journalProblem(err)
	}
	if h.journal != nil {
		h.journal.Close()
	}
	h.journal = j
	return nil
}

func (h *Host) journalProblem(err error) *api.Problem {
	p := &api.Problem{
		Kind: api.Failed, Err: err,
		What: "write journal of " + h.o.Team,
		Why:  err.Error() + "; without a journal the host could not be put back after a crash, so nothing was changed",
		Fix:  "make room in " + h.o.StateDir + " or choose another place with --state-dir",
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		p.Fix = "run as root, or choose a writable place with --state-dir"
	}
	return p
}

// AdapterMade records the TAP that was made after Begin.
func (h *Host) AdapterMade(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.nicAt(index)
	if err != nil {
		return fmt.Errorf("record adapter: %w", err)
	}
	a := journal.AdapterRecord{Name: n.Name, Index: n.Index, MAC: n.MAC}
	j, err := h.begun()
	if err != nil {
		return err
	}
	if j.State.Adapter != nil && *j.State.Adapter == a {
		return nil
	}
	return j.Write(journal.Record{Kind: journal.KindAdapter, Done: true, Adapter: &a})
}

var errNotBegun = errors.New("no journal: Begin comes first")

func (h *Host) begun() (*journal.Journal, error) {
	if h.journal == nil {
		return nil, errNotBegun
	}
	return h.journal, nil
}

// Journalled reports whether there is a journal of the team: a team that runs, or that left something to restore.
func (h *Host) Journalled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && !h.journal.State.Ended
}

// Damaged reports whether the journal has lost records: a team cannot go on with it, for it would take NICs as it left them
// for NICs as they were. Restore uses what can be read.
func (h *Host) Damaged() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && len(h.journal.Damaged) > 0
}

// Unusable says why a journal that is there must be left alone, nil when there is none such.
func (h *Host) Unusable() *api.Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unusable
}

// Note says why a journal that was found is not used, "" when there is nothing to say.
func (h *Host) Note() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.note
}
