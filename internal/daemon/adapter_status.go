// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/host"
	"nicteam/internal/panics"
	"nicteam/team"
)

// adapterReadTimeout bounds how long a status waits for the kernel. Reading takes well below a millisecond unless
// somebody holds the RTNL mutex; then the status shows the last reading with its time.
const adapterReadTimeout = 50 * time.Millisecond

// adapterReader reads the adapter from the kernel, once at a time: callers that stop waiting leave at most one reading.
type adapterReader struct {
	read   func() api.Adapter
	panics *panics.Keeper

	mu      sync.Mutex
	last    api.Adapter
	begun   time.Time     // when the current or last reading began
	reading chan struct{} // closed at the end of the current reading; nil: none
}

// newAdapterReader reads once, so that the first status has an adapter.
func newAdapterReader(read func() api.Adapter, p *panics.Keeper) *adapterReader {
	r := &adapterReader{read: read, panics: p}
	now := time.Now()
	r.last = read()
	r.last.AsOf = now
	return r
}

// status returns the adapter as it is, or as it was last read if that takes too long.
func (r *adapterReader) status() api.Adapter {
	asked := time.Now()
	late := time.NewTimer(adapterReadTimeout)
	defer late.Stop()
	for {
		done, fresh := r.beginRead(asked)
		select {
		case <-done:
			if fresh {
				return r.snapshot()
			}
			// It began before this call and may have missed what the caller knows.
		case <-late.C:
			return r.snapshot()
		}
	}
}

// refresh reads without waiting, after a change: a later status that cannot read shows it.
func (r *adapterReader) refresh() { r.beginRead(time.Now()) }

// beginRead returns the end of the current reading, which it starts if there is none. fresh: it began after since.
func (r *adapterReader) beginRead(since time.Time) (done <-chan struct{}, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading == nil {
		r.begun, r.reading = time.Now(), make(chan struct{})
		go r.finishRead(r.begun, r.reading)
	}
	return r.reading, !r.begun.Before(since)
}

func (r *adapterReader) finishRead(begun time.Time, done chan struct{}) {
	a, read := r.readOnce()
	a.AsOf = begun
	r.mu.Lock()
	if r.reading = nil; read {
		r.last = a
	}
	r.mu.Unlock()
	close(done)
}

// readOnce reads and recovers from a panic: anybody may ask for a status, so that must never end the process.
func (r *adapterReader) readOnce() (a api.Adapter, read bool) {
	defer func() {
		if !read {
			r.panics.UntrustedInput("status of the adapter", "", recover())
		}
	}()
	return r.read(), true
}

func (r *adapterReader) snapshot() api.Adapter {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.last
	a.Addresses = slices.Clone(a.Addresses)
	return a
}

// readAdapter reads the adapter from the kernel.
func (s *session) readAdapter() api.Adapter {
	a := api.Adapter{Name: s.adapter.Name(), Index: s.adapter.Index(), MAC: s.adapter.MAC().String(),
		Addresses: []string{}}
	a.Lease = s.dhcp.status()
	n, err := s.host.LinkAt(s.adapter.Index())
	if err != nil {
		return a
	}
	a.Name, a.MAC, a.MTU = n.Name, n.MAC.String(), n.MTU
	for _, p := range n.Addresses {
		a.Addresses = append(a.Addresses, p.String())
	}
	return a
}

// addressSource reads what the control loop announces from the host.
type addressSource struct {
	host  *host.Host
	index int
}

// AskNeighbours makes the adapter's stack probe its neighbours.
func (a addressSource) AskNeighbours(context.Context) error { return a.host.ProbeNeighbours(a.index) }

// Announcement returns the addresses and groups to announce.
func (a addressSource) Announcement(context.Context) (team.Announcement, error) {
	return a.host.Announcement(a.index)
}
