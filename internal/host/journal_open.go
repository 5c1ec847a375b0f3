// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/host/journal"
)

// openJournal reads the team's journal and checks its boot and network namespace.
func (h *Host) openJournal() error {
	path := journal.PathOf(h.o.StateDir, h.o.Team)
	j, err := journal.Open(path, h.faultPoint)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, journal.ErrNewer) {
		h.unusable, h.replaceable = newerProblem(h.o.Team, path, err), true
		return nil
	}
	if err != nil {
		h.unusable, h.replaceable = unreadableProblem(h.o.Team, path, err), true
		return nil
	}
	here, err := journal.Here()
	if err != nil {
		j.Close()
		return err
	}
	if j.State.Begin == nil {
		h.openHeadless(j, here)
		return nil
	}
	switch of := j.State.Begin.Location(); {
	case of.Boot != here.Boot:
		h.setStale(j, "the journal is of an earlier boot: nothing of the team is left")
	case of.Same(here):
		h.journal = j
	case of.Exists():
		j.Close()
		h.unusable = elsewhereProblem(h.o.Team, path, of, here)
	default:
		h.setStale(j, "the journal is of a network namespace that is gone: nothing of the team is left")
	}
	return nil
}

// openHeadless handles a journal without its first record, which has boot and namespace.
func (h *Host) openHeadless(j *journal.Journal, here journal.Location) {
	s := &j.State
	a, there := h.adapterOf(s)
	switch {
	case j.WrittenBeforeBoot():
		h.setStale(j, "the journal is damaged and of an earlier boot: nothing of the team is left")
	case !there && len(j.Damaged) == 0:
		// Nothing is changed before the first record is on disk.
		h.setStale(j, "the journal was empty")
	case there && s.Adapter != nil && s.Adapter.Name == a.Name:
		s.Begin = &journal.BeginRecord{Team: h.o.Team, Boot: here.Boot, NetNS: here.NetNS, Cookie: here.Cookie}
		h.journal = j
	default:
		j.Close()
		h.replaceable = true
		h.unusable = damagedProblem(h.o.Team, j.Path, "its first record is missing, so its host is unknown")
	}
}

// setStale marks a journal that is void; it is renamed when another takes its place.
func (h *Host) setStale(j *journal.Journal, why string) {
	j.Close()
	h.journalNote, h.stale = why, j.Path
}

// renameStale renames such a journal to .old.
func (h *Host) renameStale() error {
	if h.stale == "" {
		return nil
	}
	if err := h.faultPoint("put journal aside"); err != nil {
		return err
	}
	h.log.Info("journal renamed", "team", h.o.Team, "reason", h.journalNote)
	err := os.Rename(h.stale, h.stale+".old")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	h.stale = ""
	return atomicfile.SyncDir(journal.PathOf(h.o.StateDir, h.o.Team))
}

// Begin creates the team's journal, or continues the existing one, before anything is changed. The adapter has the
// team's name; from here on a new TAP of that name is ours. Programs that a killed process left on hooks are
// detached, unless this one may go on with them (DropInherited).
func (h *Host) Begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unusable != nil {
		return h.unusable
	}
	if h.journal != nil && !h.journal.State.Ended {
		// a program of an older version must not cut off what is written from here on
		if h.journal.Version < journal.Version {
			if err := h.journal.Compact(); err != nil {
				return err
			}
		}
		if h.hooks.Attached() || h.hooks.FiltersStay() {
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
	begin := journal.State{Begin: &journal.BeginRecord{Team: h.o.Team, Boot: here.Boot, NetNS: here.NetNS,
		Cookie: here.Cookie}}
	for _, n := range list {
		begin.Begin.Links = append(begin.Begin.Links, n.Index)
	}
	if h.journal != nil {
		begin.Members = h.journal.State.Members // absent NICs
	}
	if err := h.renameStale(); err != nil {
		return h.writeProblem(err)
	}
	j, err := journal.Create(journal.PathOf(h.o.StateDir, h.o.Team), begin.Records(), h.faultPoint)
	if err != nil {
		return h.writeProblem(err)
	}
	if h.journal != nil {
		h.journal.Close()
	}
	h.journal = j
	return nil
}

func (h *Host) writeProblem(err error) *api.Problem {
	p := &api.Problem{
		Kind: api.Failed, Err: err,
		What: "write journal of " + h.o.Team,
		Why:  err.Error() + "; without a journal the host could not be restored after a crash, so nothing was changed",
		Fix:  "free space in " + h.o.StateDir + ", or choose another directory with --state-dir",
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		p.Fix = "run as root, or choose a writable directory with --state-dir"
	}
	return p
}

// RecordAdapter records the TAP that was created after Begin.
func (h *Host) RecordAdapter(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.nicAt(index)
	if err != nil {
		return fmt.Errorf("record adapter: %w", err)
	}
	a := journal.AdapterRecord{Name: n.Name, Index: n.Index, MAC: n.MAC}
	j, err := h.currentJournal()
	if err != nil {
		return err
	}
	if j.State.Adapter != nil && *j.State.Adapter == a {
		return nil
	}
	return j.Write(journal.Record{Kind: journal.KindAdapter, Done: true, Adapter: &a})
}

var errNotBegun = errors.New("no journal: Begin comes first")

func (h *Host) currentJournal() (*journal.Journal, error) {
	if h.journal == nil {
		return nil, errNotBegun
	}
	return h.journal, nil
}

// HasJournal reports whether the team has a journal: it runs, or left something to restore.
func (h *Host) HasJournal() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && !h.journal.State.Ended
}

// JournalDamaged reports whether the journal has lost records. A team cannot continue with it: it would record NICs as
// the team left them. Restore uses what can be read.
func (h *Host) JournalDamaged() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal != nil && len(h.journal.Damaged) > 0
}

// JournalProblem returns why an existing journal must be left alone, nil if there is none such.
func (h *Host) JournalProblem() *api.Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unusable
}

// JournalReplaceable reports whether another journal may take the place of one that must be left alone otherwise: no
// team of another network namespace needs it.
func (h *Host) JournalReplaceable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.replaceable
}

// JournalNote returns why an existing journal is not used, "" otherwise.
func (h *Host) JournalNote() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journalNote
}

func newerProblem(name, path string, err error) *api.Problem {
	return &api.Problem{
		Kind: api.Conflict, Err: err, What: "use journal of " + name,
		Why: path + ": " + err.Error() + "; this version would lose what it does not know, so nothing was changed",
		Fix: "run nicteam restore " + name +
			" with the newer version; or remove the file if nothing of the team is left",
	}
}

func unreadableProblem(name, path string, err error) *api.Problem {
	return &api.Problem{
		Kind: api.Failed, Err: err, What: "use journal of " + name,
		Why: "it cannot be read: " + err.Error(),
		Fix: "check permissions and disk: ls -l " + path,
	}
}

func elsewhereProblem(name, path string, of, here journal.Location) *api.Problem {
	return &api.Problem{
		Kind: api.Conflict, What: "use journal of " + name,
		Why: path + ": the team is in another network namespace (inode " + strconv.FormatUint(of.NetNS, 10) +
			", this one is " + strconv.FormatUint(here.NetNS, 10) + ")",
		Fix: "run the command in that namespace, or give this one a state directory of its own with --state-dir",
	}
}

func damagedProblem(name, path, why string) *api.Problem {
	return &api.Problem{
		Kind: api.Failed, What: "use journal of " + name,
		Why: path + " is damaged: " + why + "; adapter, addresses and journal are left as they are",
		Fix: "move the addresses of " + name + " to a NIC by hand (ip address, ip route), then: ip link del " + name +
			"; and remove the file",
	}
}
