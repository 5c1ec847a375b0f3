// SPDX-License-Identifier: MIT

package ha

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Holders records which of the directors has which address when, as the kernels say it.
type Holders struct {
	stop chan struct{}
	wait sync.WaitGroup

	mu    sync.Mutex
	moves []move
}

// move is an address that came to a server or left it.
type move struct {
	at      time.Time
	address netip.Addr
	server  string
	came    bool
}

// watchAddresses records from now on. None of the servers has one of the addresses.
func watchAddresses(addresses []netip.Addr, servers ...*Server) (*Holders, error) {
	h := &Holders{stop: make(chan struct{})}
	for _, s := range servers {
		updates := make(chan netlink.AddrUpdate, 64)
		ns := netns.NsHandle(s.NetNS())
		if err := netlink.AddrSubscribeWithOptions(updates, h.stop,
			netlink.AddrSubscribeOptions{Namespace: &ns}); err != nil {
			return nil, errors.Join(fmt.Errorf("watch addresses of %s: %w", s.Label, err), h.close())
		}
		h.wait.Go(func() {
			for u := range updates {
				a, _ := netip.AddrFromSlice(u.LinkAddress.IP)
				if a = a.Unmap(); slices.Contains(addresses, a) {
					h.record(move{time.Now(), a, s.Label, u.NewAddr})
				}
			}
		})
	}
	return h, nil
}

// record adds a move, unless it changes nothing.
func (h *Holders) record(m move) {
	h.mu.Lock()
	defer h.mu.Unlock()
	had := false
	for _, o := range h.moves {
		if o.address == m.address && o.server == m.server {
			had = o.came
		}
	}
	if had != m.came {
		h.moves = append(h.moves, m)
	}
}

func (h *Holders) close() error {
	close(h.stop)
	h.wait.Wait()
	return nil
}

// Of returns the servers that have an address.
func (h *Holders) Of(a netip.Addr) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var have []string
	for _, m := range h.moves {
		if m.address != a {
			continue
		}
		have = slices.DeleteFunc(have, func(s string) bool { return s == m.server })
		if m.came {
			have = append(have, m.server)
		}
	}
	return have
}

// Moves returns how often addresses came or left since a time.
func (h *Holders) Moves(since time.Time) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.moves {
		if m.at.After(since) {
			n++
		}
	}
	return n
}

// Came returns when an address last came to a server since a time; false if it did not.
func (h *Holders) Came(a netip.Addr, server string, since time.Time) (at time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.moves {
		if m.came && m.address == a && m.server == server && m.at.After(since) {
			at, ok = m.at, true
		}
	}
	return at, ok
}

// Both returns for how long, since a time, two servers had an address at once.
func (h *Holders) Both(a netip.Addr, since time.Time) (both time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := map[string]bool{}
	var from time.Time
	for _, m := range h.moves {
		if m.address != a {
			continue
		}
		before := len(have)
		if delete(have, m.server); m.came {
			have[m.server] = true
		}
		switch {
		case before < 2 && len(have) == 2:
			from = m.at
		case before == 2 && len(have) < 2 && m.at.After(since):
			both += m.at.Sub(later(from, since))
		}
	}
	if len(have) == 2 {
		both += time.Since(later(from, since))
	}
	return both
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
