// SPDX-License-Identifier: MIT

package monitor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/panics"
	"nicteam/internal/tick"
)

// The reasons of the carrier watch.
const (
	ReasonCarrier = "carrier lost"
	ReasonAdmin   = "administratively down"
	ReasonGone    = "NIC is gone"
)

const (
	// normalInterval is the time between two readings: how late a loss without a link event may be noticed.
	normalInterval = 10 * time.Millisecond
	// busyInterval is for a team that loses frames with every millisecond. The process is awake then anyway, and a
	// reading costs some 2 µs a NIC.
	busyInterval = 3 * time.Millisecond
	// idleInterval is for an idle team, from idleAfter after a link event on: the kernel delays an event by a second at
	// most.
	idleInterval = time.Second
	idleAfter    = 2 * time.Second
	// readNowGap bounds the readings that a data path asks for whose frames are refused one after the other.
	readNowGap = time.Millisecond
	// describeWait is how long a report waits for its reason. The carrier is read without the RTNL lock, the
	// description with it, and opening a NIC may hold that lock for a second: then the report goes first, and the
	// reason follows.
	describeWait = time.Millisecond
)

// panicSource names the watch in reports of panics.
const panicSource = "carrier watch"

// Carrier is the link watch that is always on: one for all members of a team. It reads the carrier of every member each
// 10 ms (see [Carrier.SetPollRate]), after any link event, and when [Carrier.ReadNow] asks for it because a NIC refused
// a frame. What a data path has seen it believes before it reads ([Carrier.Lost]). Speed, duplex and the reason are
// read when the carrier changes and after events.
type Carrier struct {
	src            Source
	panics         *panics.Keeper
	wake           chan struct{} // read all now
	awake          chan struct{} // read all once
	describeWanted chan struct{} // the describer has work
	describeDone   chan struct{} // the describer has done work

	pollRate atomic.Int32 // a Pace

	reading []*nic // of readAll, which only one goroutine calls

	mu   sync.Mutex // never held while the kernel is asked, which may take long
	nics []*nic
}

// nic is a watched NIC. The Carrier's mutex guards it.
type nic struct {
	index   int
	known   bool // up is known
	up      bool
	changed bool // up is not yet reported

	describe    bool // the describer is to read the Link
	link        Link
	described   bool   // link is newer than the last report
	linkCurrent bool   // link was read after the carrier changed last
	generation  uint64 // how often the carrier changed

	unconfirmed  bool      // up is what Lost was told
	doubtedUntil time.Time // until then Lost does not believe

	reported LinkState // as last reported
}

// set notes a change of the carrier.
func (n *nic) set(up bool) {
	n.known, n.up, n.changed, n.describe = true, up, true, true
	n.described, n.linkCurrent = false, false
	n.generation++
}

// NewCarrier returns a watch on no NIC. k keeps the panics of readings, which are given up.
func NewCarrier(src Source, k *panics.Keeper) *Carrier {
	return &Carrier{src: src, panics: k, wake: make(chan struct{}, 1), awake: make(chan struct{}, 1),
		describeWanted: make(chan struct{}, 1), describeDone: make(chan struct{}, 1)}
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

// AddKnown watches one more NIC, whose last report was s: only what differs from it is reported.
func (c *Carrier) AddKnown(s LinkState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.nics, func(n *nic) bool { return n.index == s.Index }) {
		return
	}
	c.nics = append(c.nics, &nic{index: s.Index, known: true, up: s.Up, describe: true, link: s.Link,
		linkCurrent: true, reported: s})
	signal(c.describeWanted)
	signal(c.wake)
}

// Remove ends the watch of a NIC. One report of it may still arrive.
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

// ReadNow reads all carriers as soon as possible, and again soon: a NIC behaves like one without link. It never blocks.
func (c *Carrier) ReadNow() { signal(c.wake) }

// ReadOnce reads all carriers, for a caller that is awake anyway. It never blocks.
func (c *Carrier) ReadOnce() { signal(c.awake) }

// PollRate says how often carriers are read, by what a late reading loses.
type PollRate int32

// The poll rates.
const (
	PollNormal PollRate = iota // some frames move
	PollIdle                   // hardly any: the watch hardly wakes a CPU by itself, most of what an idle team costs
	PollBusy                   // a thousand frames a second and more
)

// SetPollRate changes how often carriers are read. The caller of PollIdle calls ReadOnce when it is awake anyway, or
// ReadNow when it sees by other means that a carrier has changed.
func (c *Carrier) SetPollRate(p PollRate) {
	if was := PollRate(c.pollRate.Swap(int32(p))); was == PollIdle && p != PollIdle {
		signal(c.wake)
	}
}

// readInterval is the time to the next reading.
func (c *Carrier) readInterval(event time.Time) time.Duration {
	switch p := PollRate(c.pollRate.Load()); {
	case p == PollBusy:
		return busyInterval
	case p == PollIdle && time.Since(event) >= idleAfter:
		return idleInterval
	}
	return normalInterval
}

// Watch reports the state of each NIC, and again whenever it changes, until ctx ends. Reports come
// from one goroutine, in order; while report blocks, nothing is watched.
func (c *Carrier) Watch(ctx context.Context, report func(LinkState)) error {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { c.describe(ctx) })
	defer done.Wait()
	defer cancel()

	// One timer for everything, so that a ReadNow too soon after the last is delayed, not lost.
	timer := time.NewTimer(normalInterval)
	defer timer.Stop()
	var readNowAt time.Time
	event := time.Now()
	delayed := false // a ReadNow waits for the timer
	changes := c.src.Changes(ctx)
	read := func() {
		if c.readAll() {
			c.awaitDescriptions(ctx)
		}
		c.reportAll(report)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if delayed {
				readNowAt, delayed = time.Now(), false
			}
			wait := c.readInterval(event)
			if wait != busyInterval {
				wait = tick.UntilBeat(wait) // with samples of the counters
			}
			timer.Reset(wait)
		case <-c.wake:
			now := time.Now()
			if wait := readNowGap - now.Sub(readNowAt); wait > 0 {
				delayed = true
				timer.Reset(wait)
				continue
			}
			readNowAt = now
			timer.Reset(min(normalInterval, c.readInterval(event)))
		case <-c.awake:
			if !delayed {
				timer.Reset(c.readInterval(event))
			}
		case _, ok := <-changes:
			if !ok {
				changes = nil // the reading goes on without events
				continue
			}
			event = time.Now()
			timer.Reset(min(normalInterval, c.readInterval(event)))
			c.describeAll()
		case <-c.describeDone:
		}
		c.panics.Do(panicSource, read)
	}
}

// readAll reads every carrier and reports whether one changed.
func (c *Carrier) readAll() (changed bool) {
	c.mu.Lock()
	c.reading = append(c.reading[:0], c.nics...)
	c.mu.Unlock()
	for _, n := range c.reading {
		changed = c.readOne(n) || changed
	}
	if changed {
		signal(c.describeWanted)
	}
	return changed
}

func (c *Carrier) readOne(n *nic) (changed bool) {
	c.mu.Lock()
	generation := n.generation
	c.mu.Unlock()
	up := c.src.Carrier(n.index)
	c.mu.Lock()
	defer c.mu.Unlock()
	// Lost may have been told more since; it asks for another reading.
	return n.generation == generation && n.read(up, time.Now())
}

// describeAll requests the descriptions of all NICs.
func (c *Carrier) describeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		n.describe = true
	}
	signal(c.describeWanted)
}

// awaitDescriptions waits until all changes are described, or for describeWait.
func (c *Carrier) awaitDescriptions(ctx context.Context) {
	limit := time.NewTimer(describeWait)
	defer limit.Stop()
	for c.anyUndescribed() {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-c.describeDone:
		}
	}
}

func (c *Carrier) anyUndescribed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if n.changed && !n.described {
			return true
		}
	}
	return false
}

// describe reads the descriptions that are wanted, until ctx ends.
func (c *Carrier) describe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.describeWanted:
		}
		for ctx.Err() == nil {
			n, generation := c.nextToDescribe()
			if n == nil {
				break
			}
			c.panics.Do(panicSource, func() { c.describeOne(n, generation) })
			signal(c.describeDone)
		}
	}
}

// describeOne reads the description of a NIC whose carrier had that generation.
func (c *Carrier) describeOne(n *nic, generation uint64) {
	link := c.src.Link(n.index)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.generation == generation { // else it is asked for again
		n.link, n.described, n.linkCurrent = link, true, true
	}
}

// nextToDescribe returns a NIC whose description is wanted, first of all one for which a report waits: an event wants
// those of all NICs, of which there may be very many.
func (c *Carrier) nextToDescribe() (next *nic, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nics {
		if n.describe && (next == nil || n.changed && !next.changed) {
			next = n
		}
	}
	if next == nil {
		return nil, 0
	}
	next.describe = false
	return next, next.generation
}

// reportAll reports what is new, without holding the mutex while it does.
func (c *Carrier) reportAll(report func(LinkState)) {
	for {
		s, ok := c.nextReport()
		if !ok {
			return
		}
		report(s)
	}
}

func (c *Carrier) nextReport() (LinkState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // under the mutex: reports are in the order of their times
	for _, n := range c.nics {
		if !n.changed && (!n.known || !n.described) {
			continue
		}
		n.changed, n.described = false, false
		s := n.state(now)
		was := n.reported
		was.At = s.At
		if was == s {
			continue
		}
		n.reported = s
		return s, true
	}
	return LinkState{}, false
}

// state is the report of n. The carrier was read last and wins over a description that contradicts it: that one is out
// of date, and another follows.
func (n *nic) state(now time.Time) LinkState {
	s := LinkState{Index: n.index, Watch: "carrier", Up: n.up, At: now, Link: n.link}
	switch {
	case n.up:
		s.Link.Exists, s.Link.AdminUp = true, true
	case !n.linkCurrent, n.link.Carrier:
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
