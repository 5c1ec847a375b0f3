package host

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/safchain/ethtool"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/host/masquerade"
	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

// Options say whose host is meant. The zero value reads links and nothing else.
type Options struct {
	StateDir string // where the journal is; needed by whatever changes the host
	Team     string
	Logger   *slog.Logger // nil: none

	// Members are the NICs that the team's settings name. Restore looks for them where a journal has lost its records.
	Members []string

	// Taken says which other team, "" for none, has a NIC by now that left this one. nil: none has.
	Taken func(index int) string

	NoTCX bool // tests: do as on kernels before 6.6

	backlogPath string                   // tests: the file of net.core.netdev_max_backlog
	faultPoint  func(point string) error // tests: called before every change of host or journal; an error stops there, as death would
}

// Host is the machine as one team sees it, in the network namespace of the thread that called Open.
// The process must be wholly in that namespace: sysctls are those of the calling thread. All methods may
// be called from any goroutine; those that change the host run one at a time.
type Host struct {
	o   Options
	log *slog.Logger

	rt    *rtnl.Conn
	tool  *ethtool.Ethtool
	probe *prober

	mu          sync.Mutex       // the changing methods
	journal     *journal.Journal // nil until there is one
	journalNote string           // why a journal that was found is not used
	stale       string           // its path, until another takes its place
	unusable    *api.Problem     // a journal was found that must be left alone
	hooks       *tchook.Hooks

	rebinding      *masquerade.Rebinding // begun for an Adopt to come
	rebindingLinks []int                 // the links whose addresses they have, ascending

	handles sync.Once // closes them
}

// Open opens handles to the kernel and reads the team's journal, if there is one. Nothing is changed.
func Open(o Options) (*Host, error) {
	h := &Host{o: o, log: o.Logger}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if err := h.open(); err != nil {
		h.Close()
		return nil, fmt.Errorf("open host: %w", err)
	}
	return h, nil
}

func (h *Host) open() (err error) {
	if h.rt, err = rtnl.Open(h.log, h.faultPoint); err != nil {
		return err
	}
	h.hooks = tchook.New(h.rt, h.log, tchook.Options{Team: h.o.Team, NoTCX: h.o.NoTCX})
	if h.tool, err = ethtool.NewEthtool(); err != nil {
		return fmt.Errorf("open ethtool: %w", err)
	}
	if h.probe, err = openProber(); err != nil {
		return fmt.Errorf("open link probe: %w", err)
	}
	if h.o.StateDir == "" || h.o.Team == "" {
		return nil
	}
	return h.openJournal()
}

// Close closes handles and ends isolation and programs by tcx; everything else stays as it is, for the next
// process or for Restore. Closing twice is fine.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hooks != nil {
		h.hooks.Close()
	}
	h.endRebinding()
	if h.journal != nil {
		h.journal.Close()
		h.journal = nil
	}
	h.handles.Do(func() {
		if h.probe != nil {
			h.probe.close()
		}
		if h.tool != nil {
			h.tool.Close()
		}
		if h.rt != nil {
			h.rt.Close()
		}
	})
	return nil
}

// faultPoint is called before every change, so that tests can die there.
func (h *Host) faultPoint(point string) error {
	if h.o.faultPoint == nil {
		return nil
	}
	return h.o.faultPoint(point)
}

// unlocked runs f while others may use h: whoever f waits for may be waiting to detach a program.
func (h *Host) unlocked(f func()) {
	h.mu.Unlock()
	defer h.mu.Lock()
	f()
}
