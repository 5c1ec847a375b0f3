package monitor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/panics"
)

// The reasons of the carrier watch.
const (
	ReasonCarrier = "carrier lost"
	ReasonAdmin   = "administratively down"
	ReasonGone    = "NIC is gone"
)

const (
	// readEvery is how late a loss may be noticed that nobody announces.
	readEvery = 10 * time.Millisecond
	// haste is the same where every millisecond loses frames. The process is awake then anyway, and a reading
	// costs it some 2 µs a NIC.
	haste = 3 * time.Millisecond
	// restEvery is the same at rest for who does not poke, and restAfter how long after a link event a
	// rest begins: the kernel holds an event back for a second at most.
	restEvery = time.Second
	restAfter = 2 * time.Second
	// pokeGap bounds what a data path that is refused frame after frame can cost.
	pokeGap = time.Millisecond
	// describeWait is how long a verdict waits for its reason. The carrier is read without the
	// kernel's configuration lock, the description is not, and a NIC that is being opened holds
	// that lock for a second. Then the verdict goes first and the reason follows.
	describeWait = time.Millisecond
)

// where is what a panic of the watch is told of as.
const where = "carrier watch"

// Carrier is the link watch that is always on: one for all members of a team. It reads the
// carrier of every member each 10 ms (more often or less as [Carrier.Pace] says how much there is to lose), at once after any link event, and at once when [Carrier.Poke]
// says that the data path was refused a frame. Speed, duplex and the reason are read when the
// carrier changes and after events.
type Carrier struct {
	src    Source
	panics *panics.Keeper
	wake   chan struct{} // read all now
	asked  chan struct{} // the describer has work
	found  chan struct{} // the describer has done work

	pace atomic.Int32 // a Pace

	mu   sync.Mutex
	nics []*nic
}

// nic is a NIC that is watched. The Carrier's mutex guards it.
type nic struct {
	index   int
	read    bool // up is known
	up      bool
	changed bool // up is not yet reported

	ask       bool // the describer is to read the Link
	link      Link
	described bool   // link is newer than the last report
	fresh     bool   // link was read after the carrier changed last
	turns     uint64 // how often the carrier changed

	told LinkState // as last reported
}

// NewCarrier returns a watch on no NIC. A reading that panics is given up; k keeps why.
func NewCarrier(src Source, k *panics.Keeper) *Carrier {
	return &Carrier{src: src, panics: k, wake: make(chan struct{}, 1), asked: make(chan struct{}, 1), found: make(chan struct{}, 1)}
}

func (c *Carrier) String() string { return "carrier" }

// Add watches one more NIC; its state is reported soon after. Adding it again changes nothing.
func (c *Carrier) Add(index int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if n.index == index {
			return
		}
	}
	c.nics = append(c.nics, &nic{index: index})
	signal(c.wake)
}

// Remove ends the watch of a NIC. A report that is under way may still arrive.
func (c *Carrier) Remove(index int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.nics {
		if n.index == index {
			c.nics = append(c.nics[:i:i], c.nics[i+1:]...)
			return
		}
	}
}

// Poke says that NIC index behaves like one without link. All NICs are read at once: where one
// cable is pulled, others may be. It never blocks.
func (c *Carrier) Poke(index int) { signal(c.wake) }

// Pace says how much a late reading loses.
type Pace int32

// The paces.
const (
	Walk Pace = iota // some frames move
	Rest             // next to none: the watch wakes no processor by itself, which is most of what an idle team costs
	Run              // a thousand frames a second and more
)

// Pace has carriers read more often or less. Who says Rest pokes instead, when it is awake anyway.
func (c *Carrier) Pace(p Pace) {
	if was := Pace(c.pace.Swap(int32(p))); was == Rest && p != Rest {
		signal(c.wake)
	}
}

// every is the time to the next reading.
func (c *Carrier) every(event time.Time) time.Duration {
	switch p := Pace(c.pace.Load()); {
	case p == Run:
		return haste
	case p == Rest && time.Since(event) >= restAfter:
		return restEvery
	}
	return readEvery
}

// Watch reports the state of each NIC, and again whenever it changes, until ctx ends. Reports come
// from one goroutine, in order; while report blocks, nothing is watched.
func (c *Carrier) Watch(ctx context.Context, report func(LinkState)) error {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { c.describe(ctx) })
	defer done.Wait()
	defer cancel()

	// One timer for everything, so that a poke that comes too soon after the last is late, not lost.
	timer := time.NewTimer(readEvery)
	defer timer.Stop()
	var poked time.Time
	event := time.Now()
	late := false // a poke waits for the timer
	changes := c.src.Changes(ctx)
	look := func() {
		if c.readAll() {
			c.await(ctx)
		}
		c.reportAll(report)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if late {
				poked, late = time.Now(), false
			}
			timer.Reset(c.every(event))
		case <-c.wake:
			now := time.Now()
			if wait := pokeGap - now.Sub(poked); wait > 0 {
				late = true
				timer.Reset(wait)
				continue
			}
			poked = now
			timer.Reset(min(readEvery, c.every(event)))
		case _, ok := <-changes:
			if !ok {
				changes = nil // the reading goes on without events
				continue
			}
			event = time.Now()
			timer.Reset(min(readEvery, c.every(event)))
			c.askAll()
		case <-c.found:
		}
		c.panics.Do(where, look)
	}
}

// readAll reads every carrier and returns whether one changed. It is what happens all the time.
func (c *Carrier) readAll() (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if up := c.src.Carrier(n.index); !n.read || up != n.up {
			n.read, n.up, n.changed, n.ask = true, up, true, true
			n.described, n.fresh = false, false
			n.turns++
			changed = true
		}
	}
	if changed {
		signal(c.asked)
	}
	return changed
}

// askAll has the description of every NIC read again.
func (c *Carrier) askAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		n.ask = true
	}
	signal(c.asked)
}

// await waits until all changes are described, or for describeWait.
func (c *Carrier) await(ctx context.Context) {
	limit := time.NewTimer(describeWait)
	defer limit.Stop()
	for c.undescribed() {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-c.found:
		}
	}
}

func (c *Carrier) undescribed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if n.changed && !n.described {
			return true
		}
	}
	return false
}

// describe reads the descriptions that are asked for, until ctx ends.
func (c *Carrier) describe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.asked:
		}
		for ctx.Err() == nil {
			n, turns := c.nextAsked()
			if n == nil {
				break
			}
			c.panics.Do(where, func() { c.read(n, turns) })
			signal(c.found)
		}
	}
}

// read reads the description of a NIC whose carrier had changed so many times.
func (c *Carrier) read(n *nic, turns uint64) {
	link := c.src.Link(n.index)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.turns == turns { // else it is asked for again
		n.link, n.described, n.fresh = link, true, true
	}
}

func (c *Carrier) nextAsked() (n *nic, turns uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if n.ask {
			n.ask = false
			return n, n.turns
		}
	}
	return nil, 0
}

// reportAll reports what is new, without holding the mutex while it does.
func (c *Carrier) reportAll(report func(LinkState)) {
	for {
		s, ok := c.nextReport(time.Now())
		if !ok {
			return
		}
		report(s)
	}
}

func (c *Carrier) nextReport(now time.Time) (LinkState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if !n.changed && (!n.read || !n.described) {
			continue
		}
		n.changed, n.described = false, false
		s := n.state(now)
		was := n.told
		was.At = s.At
		if was == s {
			continue
		}
		n.told = s
		return s, true
	}
	return LinkState{}, false
}

// state is what there is to say about n. The carrier was read last and counts; where the
// description contradicts it, it is out of date and the next one will not be.
func (n *nic) state(now time.Time) LinkState {
	s := LinkState{Index: n.index, Watch: "carrier", Up: n.up, At: now, Link: n.link}
	switch {
	case n.up:
		s.Link.Exists, s.Link.AdminUp = true, true
	case !n.fresh, n.link.Carrier:
		s.Reason = ReasonCarrier
	case !n.link.Exists:
		s.Reason = ReasonGone
	case !n.link.AdminUp:
		s.Reason = ReasonAdmin
	default:
		s.Reason = ReasonCarrier
	}
	s.Link.Carrier = n.up
	return s
}

// signal wakes the receiver of a channel of capacity one; several signals are one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
