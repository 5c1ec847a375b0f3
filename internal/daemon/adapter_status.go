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

// adapterReadTimeout bounds how long a status waits for the kernel. A reading takes well below a millisecond, unless somebody
// holds the kernel's configuration lock: then the status has what was read last, with its time.
const adapterReadTimeout = 50 * time.Millisecond

// adapterReader reads the adapter as the kernel has it, one reading at a time, so that callers who do not wait for it leave no more
// than one behind.
type adapterReader struct {
	read   func() api.Adapter
	panics *panics.Keeper

	mu      sync.Mutex
	last    api.Adapter
	begun   time.Time     // of the reading that is under way, or of the last one
	reading chan struct{} // closed at the end of the one under way; nil: none is
}

// newAdapterReader reads once, so that there is something to show from the first status on.
func newAdapterReader(read func() api.Adapter, p *panics.Keeper) *adapterReader {
	r := &adapterReader{read: read, panics: p}
	now := time.Now()
	r.last = read()
	r.last.AsOf = now
	return r
}

// status is the adapter as it is now or, where that cannot be had in time, as it was last seen.
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
			// That one was begun before we came, and may have missed what our caller knows.
		case <-late.C:
			return r.snapshot()
		}
	}
}

// beginRead returns the end of the reading that is under way, and begins one where there is none; fresh is one that was begun
// since.
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

// readOnce reads, unless that panics. As anybody may ask for a status, that never ends the process.
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

// readAdapter reads the adapter as the kernel has it.
func (s *session) readAdapter() api.Adapter {
	a := api.Adapter{Name: s.adapter.Name(), Index: s.adapter.Index(), MAC: s.adapter.MAC().String(), Addresses: []string{}}
	n, err := s.host.NICAt(s.adapter.Index())
	if err != nil {
		return a
	}
	a.Name, a.MAC, a.MTU = n.Name, n.MAC.String(), n.MTU
	for _, p := range n.Addresses {
		a.Addresses = append(a.Addresses, p.String())
	}
	return a
}

// addressSource is package host's reading of the adapter in the words of package team.
type addressSource struct {
	host  *host.Host
	index int
}

// Ask has the adapter's stack ask whom it knows.
func (a addressSource) Ask(context.Context) error { return a.host.AskNeighbours(a.index) }

// Announcement reads what the neighbours are to be told.
func (a addressSource) Announcement(context.Context) (team.Announcement, error) {
	return a.host.Announcement(a.index)
}
