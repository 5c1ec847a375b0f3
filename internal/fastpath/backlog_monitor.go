package fastpath

import (
	"sync"
	"sync/atomic"
	"time"

	"nicteam/modes"
	"nicteam/team"
)

// backlogMonitor knows what waits for the members while programs move frames, and tells modes.Picker how long their queues really are, as the
// relay does of its own sockets. It has one goroutine of its own: asking the kernel can take long, and nobody's frames may
// wait for that. The members are looked at
//
//   - every paceEvery while much is given or waits and the Plan makes use of it, or as seldom as the host's many queueing disciplines demand,
//   - every walkEvery while anything is given,
//   - once somebody who reads the counters finds that something was (nudge), and every restEvery, at rest: then it wakes hardly ever.
type backlogMonitor struct {
	stats *StatsReader // nil until a member has joined

	mu         sync.Mutex // held shortly, never while the kernel is asked
	estimators [modes.MaxMembers]Estimator
	measured   Indexes                  // the NICs that the outlets are of
	dropped    [modes.MaxMembers]uint64 // frames that were dropped after they were given

	stop, done  chan struct{} // of the goroutine; nil: there is none
	wakeup      chan struct{} // the members are to be looked at; made with the Path
	lastTraffic atomic.Uint64 // bytes given in all when they last were for that
}

const (
	pollBusy   = 20 * time.Millisecond
	pollNormal = 100 * time.Millisecond
	pollIdle   = time.Second
	// lowTraffic is so little that there is no hurry.
	lowTraffic = 16 << 10
	// instant is how long reading what NICs have sent may take to count as done at one instant.
	instant = time.Millisecond
	// qdiscsShare is the part of a processor that reading all queueing disciplines of the host may take.
	qdiscsShare = 200
	// qdiscsMaxInterval is the longest time from one reading of them to the next.
	qdiscsMaxInterval = time.Second
	// pollBusyMax is the longest from one reading to the next that says anything of what a member carries.
	pollBusyMax = 80 * time.Millisecond
)

// start has the Path's members measured from now on. The caller holds changing.
func (m *backlogMonitor) start(p *Path, k *kernel) {
	if m.stats == nil {
		return
	}
	m.mu.Lock()
	m.measured = Indexes{}
	m.mu.Unlock()
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go m.run(&backlogPoller{monitor: m, path: p, kernel: k, ageing: ageing{path: p, kernel: k}}, m.stop, m.done)
}

// stopPolling ends that. The caller holds changing.
func (m *backlogMonitor) stopPolling() {
	if m.stop != nil {
		close(m.stop)
		<-m.done
		m.stop, m.done = nil, nil
	}
}

// memberJoined has a member that has joined looked at before it is given anything. The caller holds changing.
func (m *backlogMonitor) memberJoined(p *Path, k *kernel) {
	if m.stop == nil {
		m.start(p, k) // there was nobody to measure before
		return
	}
	m.wake()
}

// wake has the goroutine look at the members now, if there is one.
func (m *backlogMonitor) wake() {
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// noteTraffic tells that the members were given so many bytes in all.
func (m *backlogMonitor) noteTraffic(bytes uint64) {
	if was := m.lastTraffic.Load(); bytes-was >= lowTraffic {
		m.lastTraffic.Store(bytes)
		m.wake()
	}
}

// openStats opens the gauge, in the calling thread's network namespace.
func (m *backlogMonitor) openStats() (err error) {
	if m.stats == nil {
		m.stats, err = OpenStatsReader()
	}
	return err
}

func (m *backlogMonitor) close() error {
	if m.stats == nil {
		return nil
	}
	return m.stats.Close()
}

// addDropped adds the frames that were dropped behind the programs to c.
func (m *backlogMonitor) addDropped(c *team.Counters) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, n := range m.dropped {
		c.Members[id].TXDrop[team.DropBacklog] += n
	}
}

// resetDropped begins member id's losses anew, for it is another NIC.
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
			w.poll() // at what was dropped at last
			return
		case <-m.wakeup:
			next.Reset(0)
		case <-next.C:
			wait := pollIdle
			w.path.o.Panics.Do("members' backlog", func() { wait = w.poll() })
			next.Reset(wait)
		}
	}
}

// backlogPoller is what the meter's goroutine keeps from one look to the next.
type backlogPoller struct {
	monitor *backlogMonitor
	path    *Path
	kernel  *kernel
	ageing  ageing

	counters team.Counters
	totals   [modes.MaxMembers]TxTotals // at the last look
	plan     *modes.Plan
	ids      modes.MemberSet // that there are
	indexes  Indexes

	links      [modes.MaxMembers]LinkStats
	qdiscs     [modes.MaxMembers]QdiscStats
	before     [modes.MaxMembers]TxTotals // totals when the kernel was asked
	after      [modes.MaxMembers]TxTotals // and when it had answered
	qdiscsRead time.Time                  // when the queueing disciplines were read
	qdiscsTook time.Duration              // for reading them
	busy       modes.MemberSet            // something waits for these

	unreported [modes.MaxMembers]pickerReport // since the Picker was told
}

// poll looks at all members once, and returns how long to wait for the next time.
func (w *backlogPoller) poll() time.Duration {
	w.snapshotMembers()
	w.ageing.look(w.plan)
	w.readTxTotals(&w.before)
	moved := w.transmittedSince()
	if moved == 0 && w.busy == 0 && w.indexes == w.monitor.measured {
		return pollIdle
	}
	began := time.Now()
	at, err := w.readLinks()
	if err != nil {
		return pollNormal // the next time it may be better
	}
	queued := false
	if w.indexes != w.monitor.measured || began.Sub(w.qdiscsRead) >= min(qdiscsShare*w.qdiscsTook, qdiscsMaxInterval)-pollBusy/2 {
		start := time.Now()
		queued = w.monitor.stats.ReadQdiscs(&w.indexes, &w.qdiscs) == nil
		w.noteQdiscsTook(time.Since(start))
		w.qdiscsRead = began
	}
	w.updateEstimates(at, queued)
	if w.plan.Spread != modes.SpreadShortest {
		return pollNormal // nobody but who removes a NIC wants to know, and asks
	}
	w.reportToPicker()
	if moved < lowTraffic && w.busy == 0 {
		return pollNormal
	}
	return min(max(pollBusy, qdiscsShare*w.qdiscsTook), pollBusyMax)
}

// readLinks reads what the members' NICs have sent, and returns when. A reading that took long says little: it is repeated.
func (w *backlogPoller) readLinks() (at int64, err error) {
	for tries := 0; ; tries++ {
		start := clockNow()
		if err := w.monitor.stats.ReadLinks(&w.indexes, &w.links); err != nil {
			return 0, err
		}
		at = clockNow()
		if at-start < int64(instant) || tries == 2 {
			return at, nil
		}
		w.readTxTotals(&w.before)
	}
}

// noteQdiscsTook takes in how long it took to read all queueing disciplines. The least of the last readings tells: others wait for the
// kernel's lock, or for a processor.
func (w *backlogPoller) noteQdiscsTook(took time.Duration) {
	if w.qdiscsTook == 0 || took < w.qdiscsTook {
		w.qdiscsTook = took
		return
	}
	w.qdiscsTook += (took - w.qdiscsTook) / 16
}

// snapshotMembers takes in who there is and what is in force.
func (w *backlogPoller) snapshotMembers() {
	p := w.path
	p.mu.Lock()
	defer p.mu.Unlock()
	w.plan, w.ids, w.indexes = p.plan, 0, Indexes{}
	for id, l := range p.links {
		if l != nil {
			w.ids, w.indexes[id] = w.ids.With(id), int32(l.Index)
		}
	}
}

// readTxTotals fills to with what the programs have given the members in all.
func (w *backlogPoller) readTxTotals(to *[modes.MaxMembers]TxTotals) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		to[left.First()] = w.kernel.txTotals(left.First())
	}
}

// transmittedSince is how many bytes that is more than at the last look.
func (w *backlogPoller) transmittedSince() (bytes uint64) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		bytes += w.before[id].WireBytes - w.totals[id].WireBytes
	}
	w.totals = w.before
	return bytes
}

// txTotals is what the programs have given a member.
func (k *kernel) txTotals(id int) (g TxTotals) {
	for i := range k.rows {
		m := &k.rows[i].Members[id]
		for p := range m.Tx {
			g.WireBytes += atomic.LoadUint64(&m.Tx[p].Bytes)
		}
		g.SKBBytes += atomic.LoadUint64(&m.TxOctets)
	}
	return g
}

// addRelayed adds what the relay transmitted by a member.
func addRelayed(to *TxTotals, c *team.MemberCounters) {
	for p := range c.TX {
		to.WireBytes += c.TX[p].Bytes
		to.SKBBytes += c.TX[p].Bytes
	}
}

// updateEstimates has the outlets take in what was read.
func (w *backlogPoller) updateEstimates(at int64, queued bool) {
	w.readTxTotals(&w.after)
	w.path.Relay.Counters(&w.counters)
	w.monitor.mu.Lock()
	defer w.monitor.mu.Unlock()
	w.busy = 0
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		o := &w.monitor.estimators[id]
		if w.monitor.measured[id] != w.indexes[id] {
			o.Forget()
		}
		addRelayed(&w.before[id], &w.counters.Members[id])
		addRelayed(&w.after[id], &w.counters.Members[id])
		t := o.Update(&Sample{At: at, Before: w.before[id], After: w.after[id], Link: w.links[id], Qdisc: w.qdiscs[id], QdiscRead: queued})
		w.monitor.dropped[id] += t.Dropped
		w.unreported[id].accepted += int64(t.Accepted)
		w.unreported[id].backlog = t.Backlog
		if t.Backlog > 0 {
			w.busy = w.busy.With(id)
		}
	}
	w.monitor.measured = w.indexes
}

// pickerReport is what the Picker is to be told of a member.
type pickerReport struct {
	accepted int64 // that it has taken since; negative where the Picker was told of them before their time
	backlog  int   // bytes that wait now
}

// reportToPicker tells the Picker of members that were given anything. What they were given since the reading has been charged to their clocks
// meanwhile and hardly left: the Picker is told of it, too, or it would take it off the clocks again.
func (w *backlogPoller) reportToPicker() {
	var set modes.MemberSet
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		if id := left.First(); w.unreported[id].accepted > 0 || w.busy.Has(id) {
			set = set.With(id)
		}
	}
	if set == 0 {
		return
	}
	// An error says that the relay is closed, and so is the Path soon.
	_ = w.path.Relay.Do(func(pk *modes.Picker, _ int64) {
		for left := set; left != 0; left = left.Without(left.First()) {
			id := left.First()
			now := w.kernel.txTotals(id)
			addRelayed(&now, &w.counters.Members[id])
			n, late := &w.unreported[id], int64(now.WireBytes-w.after[id].WireBytes)
			told := max(n.accepted+late, 0)
			pk.Measured(id, uint64(told), n.backlog+int(late))
			n.accepted -= told
		}
	})
}
