package fastpath

import (
	"sync"
	"sync/atomic"
	"time"

	"nicteam/modes/spread"
	"nicteam/team"
)

// meter knows what waits for the members while programs move frames, and tells modes.Picker how long their queues really are, as the
// relay does of its own sockets. It has one goroutine of its own: asking the kernel can take long, and nobody's frames may
// wait for that. The members are looked at
//
//   - every paceEvery while much is given or waits and the Plan makes use of it, or as seldom as the host's many queueing disciplines demand,
//   - every walkEvery while anything is given,
//   - once somebody who reads the counters finds that something was (nudge), and every restEvery, at rest: then it wakes hardly ever.
type meter struct {
	gauge *gauge // nil until a member has joined

	mu      sync.Mutex // held shortly, never while the kernel is asked
	outlets [spread.MaxMembers]outlet
	of      nics                      // the NICs that the outlets are of
	losses  [spread.MaxMembers]uint64 // frames that were dropped after they were given

	stop, done chan struct{} // of the goroutine; nil: there is none
	due        chan struct{} // the members are to be looked at; made with the Path
	nudged     atomic.Uint64 // bytes given in all when they last were for that
}

const (
	paceEvery = 20 * time.Millisecond
	walkEvery = 100 * time.Millisecond
	restEvery = time.Second
	// little is so little that there is no hurry.
	little = 16 << 10
	// atOnce is how long reading what NICs have sent may take to count as done at one instant.
	atOnce = time.Millisecond
	// queuesPart is the part of a processor that reading all queueing disciplines of the host may take.
	queuesPart = 200
	// queuesMost is the longest time from one reading of them to the next.
	queuesMost = time.Second
	// paceMost is the longest from one reading to the next that says anything of what a member carries.
	paceMost = 80 * time.Millisecond
)

// begin has the Path's members measured from now on. The caller holds changing.
func (m *meter) begin(p *Path, k *kernel) {
	if m.gauge == nil {
		return
	}
	m.mu.Lock()
	m.of = nics{}
	m.mu.Unlock()
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go m.run(&watch{meter: m, path: p, kernel: k, ageing: ageing{path: p, kernel: k}}, m.stop, m.done)
}

// end ends that. The caller holds changing.
func (m *meter) end() {
	if m.stop != nil {
		close(m.stop)
		<-m.done
		m.stop, m.done = nil, nil
	}
}

// join has a member that has joined looked at before it is given anything. The caller holds changing.
func (m *meter) join(p *Path, k *kernel) {
	if m.stop == nil {
		m.begin(p, k) // there was nobody to measure before
		return
	}
	m.wake()
}

// wake has the goroutine look at the members now, if there is one.
func (m *meter) wake() {
	select {
	case m.due <- struct{}{}:
	default:
	}
}

// nudge tells that the members were given so many bytes in all.
func (m *meter) nudge(bytes uint64) {
	if was := m.nudged.Load(); bytes-was >= little {
		m.nudged.Store(bytes)
		m.wake()
	}
}

// open opens the gauge, in the calling thread's network namespace.
func (m *meter) open() (err error) {
	if m.gauge == nil {
		m.gauge, err = openGauge()
	}
	return err
}

func (m *meter) close() error {
	if m.gauge == nil {
		return nil
	}
	return m.gauge.Close()
}

// lost adds the frames that were dropped behind the programs to c.
func (m *meter) lost(c *team.Counters) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, n := range m.losses {
		c.Members[id].TXDrop[team.DropBacklog] += n
	}
}

// forget begins member id's losses anew, for it is another NIC.
func (m *meter) forget(id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.losses[id] = 0
}

func (m *meter) run(w *watch, stop, done chan struct{}) {
	defer close(done)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-stop:
			w.look() // at what was dropped at last
			return
		case <-m.due:
			next.Reset(0)
		case <-next.C:
			wait := restEvery
			w.path.o.Panics.Do("members' backlog", func() { wait = w.look() })
			next.Reset(wait)
		}
	}
}

// watch is what the meter's goroutine keeps from one look to the next.
type watch struct {
	*meter
	path   *Path
	kernel *kernel
	ageing ageing

	counters team.Counters
	totals   [spread.MaxMembers]given // at the last look
	plan     *spread.Plan
	ids      spread.MemberSet // that there are
	now      nics

	traffic [spread.MaxMembers]traffic
	queue   [spread.MaxMembers]queue
	before  [spread.MaxMembers]given // totals when the kernel was asked
	after   [spread.MaxMembers]given // and when it had answered
	read    time.Time                // when the queueing disciplines were read
	takes   time.Duration            // for reading them
	busy    spread.MemberSet         // something waits for these

	news [spread.MaxMembers]news // since the Picker was told
}

// look looks at all members once, and returns how long to wait for the next time.
func (w *watch) look() time.Duration {
	w.members()
	w.ageing.look(w.plan)
	w.totalsNow(&w.before)
	moved := w.moved()
	if moved == 0 && w.busy == 0 && w.now == w.of {
		return restEvery
	}
	began := time.Now()
	at, err := w.sent()
	if err != nil {
		return walkEvery // the next time it may be better
	}
	queued := false
	if w.now != w.of || began.Sub(w.read) >= min(queuesPart*w.takes, queuesMost)-paceEvery/2 {
		start := time.Now()
		queued = w.gauge.queues(&w.now, &w.queue) == nil
		w.timed(time.Since(start))
		w.read = began
	}
	w.weigh(at, queued)
	if w.plan.Spread != spread.SpreadShortest {
		return walkEvery // nobody but who removes a NIC wants to know, and asks
	}
	w.tell()
	if moved < little && w.busy == 0 {
		return walkEvery
	}
	return min(max(paceEvery, queuesPart*w.takes), paceMost)
}

// sent reads what the members' NICs have sent, and returns when. A reading that took long says little: it is repeated.
func (w *watch) sent() (at int64, err error) {
	for tries := 0; ; tries++ {
		start := clockNow()
		if err := w.gauge.traffic(&w.now, &w.traffic); err != nil {
			return 0, err
		}
		at = clockNow()
		if at-start < int64(atOnce) || tries == 2 {
			return at, nil
		}
		w.totalsNow(&w.before)
	}
}

// timed takes in how long it took to read all queueing disciplines. The least of the last readings tells: others wait for the
// kernel's lock, or for a processor.
func (w *watch) timed(took time.Duration) {
	if w.takes == 0 || took < w.takes {
		w.takes = took
		return
	}
	w.takes += (took - w.takes) / 16
}

// members takes in who there is and what is in force.
func (w *watch) members() {
	p := w.path
	p.mu.Lock()
	defer p.mu.Unlock()
	w.plan, w.ids, w.now = p.plan, 0, nics{}
	for id, l := range p.links {
		if l != nil {
			w.ids, w.now[id] = w.ids.With(id), int32(l.Index)
		}
	}
}

// totalsNow fills to with what the programs have given the members in all.
func (w *watch) totalsNow(to *[spread.MaxMembers]given) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		to[left.First()] = w.kernel.given(left.First())
	}
}

// moved is how many bytes that is more than at the last look.
func (w *watch) moved() (bytes uint64) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		bytes += w.before[id].bytes - w.totals[id].bytes
	}
	w.totals = w.before
	return bytes
}

// given is what the programs have given a member.
func (k *kernel) given(id int) (g given) {
	for i := range k.rows {
		m := &k.rows[i].Members[id]
		for p := range m.Tx {
			g.bytes += atomic.LoadUint64(&m.Tx[p].Bytes)
		}
		g.octets += atomic.LoadUint64(&m.TxOctets)
	}
	return g
}

// add adds what the relay has given, which is hardly anything.
func (g *given) add(c *team.MemberCounters) {
	for p := range c.TX {
		g.bytes += c.TX[p].Bytes
		g.octets += c.TX[p].Bytes
	}
}

// weigh has the outlets take in what was read.
func (w *watch) weigh(at int64, queued bool) {
	w.totalsNow(&w.after)
	w.path.Relay.Counters(&w.counters)
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	w.busy = 0
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		o := &w.outlets[id]
		if w.of[id] != w.now[id] {
			o.begun = false
		}
		w.before[id].add(&w.counters.Members[id])
		w.after[id].add(&w.counters.Members[id])
		t := o.look(&sight{at: at, before: w.before[id], after: w.after[id], traffic: w.traffic[id], queue: w.queue[id], queued: queued})
		w.losses[id] += t.losses
		w.news[id].bytes += int64(t.bytes)
		w.news[id].waiting = t.waiting
		if t.waiting > 0 {
			w.busy = w.busy.With(id)
		}
	}
	w.of = w.now
}

// news is what the Picker is to be told of a member.
type news struct {
	bytes   int64 // that it has taken since; negative where the Picker was told of them before their time
	waiting int   // bytes that wait now
}

// tell tells the Picker of members that were given anything. What they were given since the reading has been charged to their clocks
// meanwhile and hardly left: the Picker is told of it, too, or it would take it off the clocks again.
func (w *watch) tell() {
	var set spread.MemberSet
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		if id := left.First(); w.news[id].bytes > 0 || w.busy.Has(id) {
			set = set.With(id)
		}
	}
	if set == 0 {
		return
	}
	// An error says that the relay is closed, and so is the Path soon.
	_ = w.path.Relay.Do(func(pk *spread.Picker, _ int64) {
		for left := set; left != 0; left = left.Without(left.First()) {
			id := left.First()
			now := w.kernel.given(id)
			now.add(&w.counters.Members[id])
			n, late := &w.news[id], int64(now.bytes-w.after[id].bytes)
			told := max(n.bytes+late, 0)
			pk.Measured(id, uint64(told), n.waiting+int(late))
			n.bytes -= told
		}
	})
}
