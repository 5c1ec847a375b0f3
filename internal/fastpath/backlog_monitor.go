// SPDX-License-Identifier: MIT

package fastpath

import (
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/fastpath/backlog"
	"nicteam/internal/relay"
	"nicteam/internal/tick"
	"nicteam/modes/spread"
	"nicteam/team"
)

// backlogMonitor measures what waits for the members while programs move frames, and reports their queues to
// spread.Picker as the relay reports those of its sockets. It has a goroutine of its own, because reading counters may
// wait for the kernel's configuration lock, and no frame may wait for that. The goroutine polls the members
//
//   - each pollBusy while traffic or a backlog is large and the Plan depends on it, less often on a host with many
//     qdiscs,
//   - each pollNormal while there is any traffic and the Plan depends on it,
//   - each pollDrops while there is any and it does not: only drops are counted,
//   - each pollIdle otherwise, and at once when a reader of the counters finds traffic (noteTraffic).
type backlogMonitor struct {
	stats statsReader // nil until a member has joined

	mu         sync.Mutex // held shortly, never while the kernel is read
	estimators [spread.MaxMembers]backlog.Estimator
	measured   backlog.Indexes           // the NICs that estimators are of
	dropped    [spread.MaxMembers]uint64 // frames dropped in qdiscs and NICs

	stop, done  chan struct{} // of the goroutine; nil: it does not run
	wakeup      chan struct{} // poll now; made with the Path
	resting     atomic.Bool   // it polls each pollIdle
	lastTraffic atomic.Uint64 // bytes transmitted in all when noteTraffic last woke the goroutine
}

// statsReader is *backlog.StatsReader.
type statsReader interface {
	ReadLinks(of *backlog.Indexes, to *[spread.MaxMembers]backlog.LinkStats) error
	ReadQdiscs(of *backlog.Indexes, to *[spread.MaxMembers]backlog.QdiscStats) error
	Close() error
}

const (
	pollBusy   = 20 * time.Millisecond
	pollNormal = 100 * time.Millisecond
	pollDrops  = 500 * time.Millisecond
	pollIdle   = time.Second
	// pollBusyMax is the longest interval whose readings still show what a member carries.
	pollBusyMax = 80 * time.Millisecond
	// lowTraffic are bytes between two polls, up to which pollNormal suffices.
	lowTraffic = 16 << 10
	// instant is how long reading the counters of NICs may take to count as one moment.
	instant = time.Millisecond
	// Dumping the host's qdiscs may take 1/qdiscsShare of a processor, and is done each qdiscsMaxInterval at least.
	qdiscsShare       = 200
	qdiscsMaxInterval = time.Second
)

// start starts the goroutine. The caller holds changing.
func (m *backlogMonitor) start(p *Path, k *kernel) {
	if m.stats == nil {
		return
	}
	m.mu.Lock()
	m.measured = backlog.Indexes{}
	m.mu.Unlock()
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go m.run(&backlogPoller{monitor: m, path: p, kernel: k, ageing: ageingReporter{path: p, kernel: k}}, m.stop, m.done)
}

// stopPolling ends the goroutine and waits for it. The caller holds changing.
func (m *backlogMonitor) stopPolling() {
	if m.stop != nil {
		close(m.stop)
		<-m.done
		m.stop, m.done = nil, nil
	}
}

// memberJoined samples a new member before it transmits. The caller holds changing.
func (m *backlogMonitor) memberJoined(p *Path, k *kernel) {
	if m.stop == nil {
		m.start(p, k) // the first member opened stats
		return
	}
	m.wake()
}

// wake makes the goroutine poll now, if it runs.
func (m *backlogMonitor) wake() {
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// noteTraffic wakes the goroutine that rests if the total of transmitted bytes has grown by more than lowTraffic.
func (m *backlogMonitor) noteTraffic(bytes uint64) {
	if was := m.lastTraffic.Load(); bytes-was >= lowTraffic {
		m.lastTraffic.Store(bytes)
		if m.resting.Load() {
			m.wake()
		}
	}
}

// openStats opens stats in the calling thread's network namespace.
func (m *backlogMonitor) openStats() error {
	if m.stats != nil {
		return nil
	}
	r, err := backlog.OpenStatsReader()
	if err == nil {
		m.stats = r
	}
	return err
}

func (m *backlogMonitor) close() error {
	if m.stats == nil {
		return nil
	}
	return m.stats.Close()
}

// addDropped adds the frames that qdiscs and NICs dropped to c.
func (m *backlogMonitor) addDropped(c *team.Counters) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, n := range m.dropped {
		c.Members[id].TXDrop[team.DropBacklog] += n
	}
}

// resetDropped starts member id's count at zero: it is another NIC.
func (m *backlogMonitor) resetDropped(id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped[id] = 0
}

func (m *backlogMonitor) run(w *backlogPoller, stop, done chan struct{}) {
	defer close(done)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-stop:
			w.poll() // counts the last drops
			return
		case <-m.wakeup:
			next.Reset(0)
		case <-next.C:
			wait := pollIdle
			w.path.o.Panics.Do("members' backlog", func() { wait = w.poll() })
			m.resting.Store(wait == pollIdle)
			if wait == pollBusy || wait >= pollNormal {
				wait = tick.UntilBeat(wait) // with other looks
			}
			next.Reset(wait)
		}
	}
}

// Backlog returns the bytes transmitted by member id, through the relay or by programs, that have not left its NIC. It
// reads counters, which may wait for the kernel's configuration lock.
func (p *Path) Backlog(id int) int {
	relayed := p.relay.Backlog(id)
	if id < 0 || id >= spread.MaxMembers {
		return relayed
	}
	s := backlog.Sample{At: relay.Monotonic(), QdiscRead: true}
	var of backlog.Indexes
	var stats statsReader
	if !p.txTotals(id, &s.Before, &of, &stats) {
		return relayed
	}
	var links [spread.MaxMembers]backlog.LinkStats
	var qdiscs [spread.MaxMembers]backlog.QdiscStats
	if stats.ReadLinks(&of, &links) != nil || stats.ReadQdiscs(&of, &qdiscs) != nil ||
		!p.txTotals(id, &s.After, &of, &stats) {
		return relayed
	}
	s.Link, s.Qdisc = links[id], qdiscs[id]
	p.backlog.mu.Lock()
	e := p.backlog.estimators[id]
	same := p.backlog.measured[id] == of[id] && e.Known()
	p.backlog.mu.Unlock()
	if !same {
		return max(relayed, int(s.Qdisc.Backlog))
	}
	// What the relay transmitted is in both.
	return max(relayed, e.Update(&s).Backlog)
}

// txTotals fills in what member id transmitted, its ifindex, and where to read its counters. It returns false while no
// programs transmit.
func (p *Path) txTotals(id int, to *backlog.TxTotals, of *backlog.Indexes, stats *statsReader) bool {
	var c team.Counters
	p.relay.Counters(&c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.links[id] == nil || p.backlog.stats == nil {
		return false
	}
	*to = p.kernel.txTotals(id)
	addRelayed(to, &c.Members[id])
	of[id], *stats = int32(p.links[id].Index), p.backlog.stats
	return true
}
