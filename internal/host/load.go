package host

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/team"
)

// load reads the team's journal. One of another boot describes a host that is no more and is put
// aside; one of another namespace is for a process there and is left alone.
func (h *Host) load() error {
	path := journalPath(h.o.StateDir, h.o.Team)
	j, err := openJournal(path, h.at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, errJournalVersion) {
		h.foreign = fmt.Errorf("%s: %w", path, err)
		return nil
	}
	if err != nil {
		return h.journalProblem(err)
	}
	boot, netns, err := here()
	if err != nil {
		j.close()
		return err
	}
	b := j.state.begin
	switch {
	case b == nil:
		// Nothing is done before the first record is on disk.
		h.note = "the journal was empty"
		h.discard(j, path)
	case b.Boot != boot:
		h.note = "the journal is of an earlier boot: nothing of that team is left on the host"
		h.discard(j, path)
	case b.NetNS != netns:
		j.close()
		h.foreign = fmt.Errorf("%s: the team lives in another network namespace (inode %d, this one is %d)", path, b.NetNS, netns)
	default:
		h.journal = j
	}
	return nil
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

// readState reads what a journal says, nil if it is none of this boot and network namespace.
func readState(path string) *state {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := &state{}
	if readJournal(f, func(r record, _ int64) { s.apply(r) }) != nil || s.begin == nil {
		return nil
	}
	if boot, netns, err := here(); err != nil || s.begin.Boot != boot || s.begin.NetNS != netns {
		return nil
	}
	return s
}

// discard puts a journal aside that means nothing any more. It is kept under another name for the curious.
func (h *Host) discard(j *journal, path string) {
	j.close()
	h.log.Info("journal put aside", "team", h.o.Team, "reason", h.note)
	if err := os.Rename(path, path+".old"); err != nil {
		h.log.Warn("journal put aside", "team", h.o.Team, "err", err)
	}
}

// here is the boot id and the inode of the network namespace of the calling thread.
func here() (boot string, netns uint64, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, fmt.Errorf("read boot id: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", 0, fmt.Errorf("read network namespace: %w", err)
	}
	return strings.TrimSpace(string(b)), st.Ino, nil
}

// Begin opens the team's journal, or goes on with the one that is there, before anything is changed. The
// adapter is named like the team; from here on a new TAP of that name is ours. What programs of a process that was
// killed are still on hooks are taken off.
func (h *Host) Begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.foreign != nil {
		return h.foreignProblem()
	}
	if h.journal != nil {
		if len(h.attached) == 0 {
			return h.sweep()
		}
		return nil
	}
	boot, netns, err := here()
	if err != nil {
		return err
	}
	list, err := h.links()
	if err != nil {
		return err
	}
	begin := &beginRecord{Team: h.o.Team, Boot: boot, NetNS: netns}
	for _, n := range list {
		begin.Links = append(begin.Links, n.Index)
	}
	j, err := createJournal(journalPath(h.o.StateDir, h.o.Team), h.at)
	if err == nil {
		if err = j.write(record{Kind: kindBegin, Done: true, Begin: begin}); err != nil {
			j.close()
		}
	}
	if err != nil {
		return h.journalProblem(err)
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

func (h *Host) foreignProblem() *team.Problem {
	return &team.Problem{
		Kind: team.Conflict, Err: h.foreign,
		What: "use journal of " + h.o.Team,
		Why:  h.foreign.Error(),
		Fix:  "run the command in that namespace, or remove the journal if the namespace is gone",
	}
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
	return h.journal != nil
}

// Note says why a journal that was found is not used, "" when there is nothing to say.
func (h *Host) Note() string { return h.note }
