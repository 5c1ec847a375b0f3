// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/safchain/ethtool"

	"nicteam/internal/api"
	"nicteam/internal/descriptors"
	"nicteam/internal/host/journal"
	"nicteam/internal/host/masquerade"
	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

// Options select the host. The zero value only reads links.
type Options struct {
	StateDir string // of the journal; needed for every change
	Team     string
	Logger   *slog.Logger // nil: none

	// Members are the NICs in the team's settings. Restore looks for them if the journal has lost their records.
	Members []string

	// Taken returns the other team that now has a NIC which left this one, "" for none. nil: no team has.
	Taken func(index int) string

	Adapter int // ifindex of a device that was made for the team in advance; 0: none

	Store descriptors.Store // keeps tcx links for the next process; nil: nothing does

	NoTCX bool // tests: as on kernels before 6.6

	backlogPath string // tests: the file of net.core.netdev_max_backlog
	// tests: called before every change of host or journal; an error stops the change, as death would
	faultPoint func(point string) error
}

// Host is the machine as one team sees it, in the network namespace of the thread that called Open. The process must be
// wholly in that namespace, because sysctls are those of the calling thread. Any goroutine may call the methods; those
// that change the host run one at a time.
type Host struct {
	o   Options
	log *slog.Logger

	rt    *rtnl.Conn
	tool  *ethtool.Ethtool
	probe *prober
	tcp   *tcpCounters // nil: not known

	mu          sync.Mutex       // held by methods that change the host
	journal     *journal.Journal // nil: none
	journalNote string           // why an existing journal is not used
	stale       string           // path of that journal until another takes its place
	unusable    *api.Problem     // the existing journal must be left alone …
	replaceable bool             // … unless a person says otherwise
	hooks       *tchook.Hooks

	rebinding      *masquerade.Rebinding // begun by RebindConnections for Adopt
	rebindingLinks []int                 // links of its addresses, ascending

	namesOfFeatures atomic.Pointer[map[string]uint] // see featureNames

	handles sync.Once // closes them
}

// Open opens handles to the kernel and reads the team's journal if there is one. It changes nothing.
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
	h.hooks = tchook.New(h.rt, h.log, tchook.Options{Team: h.o.Team, NoTCX: h.o.NoTCX, Store: h.o.Store})
	if h.tool, err = ethtool.NewEthtool(); err != nil {
		return fmt.Errorf("open ethtool: %w", err)
	}
	if h.probe, err = openProber(); err != nil {
		return fmt.Errorf("open link probe: %w", err)
	}
	if h.o.StateDir == "" || h.o.Team == "" {
		return nil
	}
	if h.tcp, err = openTCPCounters(); err != nil {
		h.log.Debug("retransmissions are not seen", "err", err)
	}
	return h.openJournal()
}

// HandOver is Close, but what the store keeps stays attached to the NICs.
func (h *Host) HandOver() error {
	h.mu.Lock()
	h.hooks.HandOver()
	h.mu.Unlock()
	return h.Close()
}

// Close closes the handles and detaches all tcx links. Everything else stays for the next process, or for Restore. A
// second Close is fine.
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
		h.tcp.close()
		if h.tool != nil {
			h.tool.Close()
		}
		if h.rt != nil {
			h.rt.Close()
		}
	})
	return nil
}

// faultPoint is called before every change, so that tests can let the process die there.
func (h *Host) faultPoint(point string) error {
	if h.o.faultPoint == nil {
		return nil
	}
	return h.o.faultPoint(point)
}

// unlocked runs f without the lock: what f waits for may be detaching a program.
func (h *Host) unlocked(f func()) {
	h.mu.Unlock()
	defer h.mu.Lock()
	f()
}
