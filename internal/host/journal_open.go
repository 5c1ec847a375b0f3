package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/team"
)

// load reads the team's journal and finds out whose it is.
func (h *Host) load() error {
	path := journalPath(h.o.StateDir, h.o.Team)
	j, err := openJournal(path, h.at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, errJournalVersion) {
		h.unusable = newerProblem(h.o.Team, path, err)
		return nil
	}
	if err != nil {
		return h.journalProblem(err)
	}
	here, err := whereabouts()
	if err != nil {
		j.close()
		return err
	}
	if j.state.begin == nil {
		h.adrift(j, here)
		return nil
	}
	switch of := j.state.begin.where(); {
	case of.boot != here.boot:
		h.setAside(j, "the journal is of an earlier boot: nothing of that team is left on the host")
	case of.same(here):
		h.journal = j
	case of.lives():
		j.close()
		h.unusable = elsewhereProblem(h.o.Team, path, of, here)
	default:
		h.setAside(j, "the journal is of a network namespace that is gone: nothing of that team is left")
	}
	return nil
}

// adrift deals with a journal that has lost its beginning, and so does not say of which boot and namespace it is.
func (h *Host) adrift(j *journal, here where) {
	s := &j.state
	a, there := h.adapterOf(s)
	switch {
	case writtenBefore(j.file):
		h.setAside(j, "the journal is damaged and of an earlier boot: nothing of that team is left on the host")
	case !there && len(j.damaged) == 0:
		// Nothing is done before the first record is on disk.
		h.setAside(j, "the journal was empty")
	case there && s.adapter != nil && s.adapter.Name == a.Name:
		s.begin = &beginRecord{Team: h.o.Team, Boot: here.boot, NetNS: here.netns, Cookie: here.cookie}
		h.journal = j
	default:
		j.close()
		h.unusable = damagedProblem(h.o.Team, j.path, "it has lost its beginning, so it does not say of which host it is")
	}
}

// setAside has a journal that means nothing any more make room when that is needed.
func (h *Host) setAside(j *journal, why string) {
	j.close()
	h.note, h.aside = why, j.path
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
	return syncDir(journalPath(h.o.StateDir, h.o.Team))
}

// Claimed lists the adapter of a team and then its members, as its journal says, if that is of this network namespace.
// It changes nothing, and without a journal there are none.
func Claimed(stateDir, name string) []string {
	s := readState(journalPath(stateDir, name))
	if s == nil {
		return nil
	}
	names := []string{name}
	for _, m := range s.members {
		if !m.left {
			names = append(names, m.Name)
		}
	}
	return names
}

// readState reads what a journal says, nil if it is none of this boot and network namespace, or of a team that has ended.
func readState(path string) *state {
	s := stateIn(path)
	if s == nil || s.begin == nil || s.ended {
		return nil
	}
	here, err := whereabouts()
	if of := s.begin.where(); err != nil || of.boot != here.boot || !of.same(here) {
		return nil
	}
	return s
}

// Ended reports whether the journal of a team only keeps what is of NICs that were away when the team ended.
func Ended(stateDir, name string) bool {
	s := stateIn(journalPath(stateDir, name))
	return s != nil && s.ended
}

// stateIn reads a journal without going on with it, nil if there is none that this program can read.
func stateIn(path string) *state {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := &state{}
	if _, err := scan(f, func(r record, _ int64) { s.apply(r) }); err != nil {
		return nil
	}
	return s
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
	if h.journal != nil && !h.journal.state.ended {
		if h.journal.version < journalVersion { // what knows only that must not cut off what is written now
			if err := h.journal.compact(); err != nil {
				return err
			}
		}
		if h.hooks.Attached() {
			return nil
		}
		return h.sweepHooks()
	}
	here, err := whereabouts()
	if err != nil {
		return err
	}
	list, err := h.links()
	if err != nil {
		return err
	}
	begin := state{begin: &beginRecord{Team: h.o.Team, Boot: here.boot, NetNS: here.netns, Cookie: here.cookie}}
	for _, n := range list {
		begin.begin.Links = append(begin.begin.Links, n.Index)
	}
	if h.journal != nil {
		begin.members = h.journal.state.members // NICs that are away
	}
	if err := h.makeRoom(); err != nil {
		return h.journalProblem(err)
	}
	j, err := createJournal(journalPath(h.o.StateDir, h.o.Team), begin.records(), h.at)
	if err != nil {
		return h.journalProblem(err)
	}
	if h.journal != nil {
		h.journal.close()
	}
	h.journal = j
	return nil
}

func (h *Host) journalProblem(err error) *team.Problem {
	p := &team.Problem{
		Kind: team.Failed, Err: err,
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
	a := adapterRecord{Name: n.Name, Index: n.Index, MAC: n.MAC}
	j, err := h.begun()
	if err != nil {
		return err
	}
	if j.state.adapter != nil && *j.state.adapter == a {
		return nil
	}
	return j.write(record{Kind: kindAdapter, Done: true, Adapter: &a})
}

var errNotBegun = errors.New("no journal: Begin comes first")

func (h *Host) begun() (*journal, error) {
	if h.journal == nil {
		return nil, errNotBegun
	}
	return h.journal, nil
}

// Journalled reports whether there is a journal of the team: a team that runs, or that left something to restore.
func (h *Host) Journalled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && !h.journal.state.ended
}

// Damaged reports whether the journal has lost records: a team cannot go on with it, for it would take NICs as it left them
// for NICs as they were. Restore uses what can be read.
func (h *Host) Damaged() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && len(h.journal.damaged) > 0
}

// Unusable says why a journal that is there must be left alone, nil when there is none such.
func (h *Host) Unusable() *team.Problem {
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
