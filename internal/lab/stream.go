// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is numbered UDP frames from one host to another at an even rate. The zero value of each
// field but From, To and Address is a default.
type Stream struct {
	From, To *Host
	Address  netip.Addr // of To, IPv4 or IPv6
	Flows    int        // source ports, taken in turn; 8
	Rate     int        // frames a second over all flows; 10000
	Size     int        // octets of UDP payload, at least 32; 200
	Copies   int        // of each frame that arrive, which Stop waits for; 1
	// Batch is how many frames leave at a time, of one flow, by one system call; 1. A stream of batches costs a
	// fraction: volley.go.
	Batch int
	// FirstPort and PortStep choose the source ports; without them the kernel does.
	FirstPort, PortStep int
	// Witness is for exact gaps. Without it streams share one that may call a standstill a millisecond too short.
	Witness *Witness
}

// Running is a stream under way.
//
// The sender keeps an even rate: if it wakes late because the machine stood still, its schedule moves by as much, so
// that no burst follows, and the time without sending is subtracted from the net gaps like the standstills of the
// witness.
type Running struct {
	s       Stream
	run     uint32
	started atomic.Int64
	warm    atomic.Bool

	sharesWitness bool
	stop          atomic.Bool
	senderDone    chan struct{}
	endOfDay      atomic.Bool
	recvDone      chan struct{}
	port          int
	in            int
	drained       bool // the receiver has read all that had come
	out           []int

	sent     []atomic.Uint64 // by flow
	refused  atomic.Uint64
	lastSend atomic.Int64
	lateMu   sync.Mutex
	late     []Interval

	mu      sync.Mutex // what the receiver writes
	flows   []tally
	all     gaps
	corrupt uint64
	err     error

	finish sync.Once
	report Report
}

// Report is the result of a stream.
type Report struct {
	Sent       uint64 // frames that the sender's kernel accepted
	Refused    uint64 // frames that it refused (no route, full queue); they have no number and are not lost
	Received   uint64 // without duplicates
	Lost       uint64
	Duplicated uint64
	Reordered  uint64 // arrived after a later one of the same flow
	Corrupt    uint64
	Gap        Gap           // of all flows as one
	FlowGap    Gap           // of the flow with the longest; its frames are Flows times further apart
	Standstill time.Duration // of the machine, during the stream
	Took       time.Duration
	Rate       int // frames a second, as asked for
	Flows      []FlowReport
}

// FlowReport is one flow's share.
type FlowReport struct {
	SourcePort                                  int
	Sent, Received, Lost, Duplicated, Reordered uint64
	Gap                                         Gap
	Missing                                     []Span // the first of the lost sequence numbers
}

// Clean reports whether every frame arrived once, in order and unchanged.
func (r Report) Clean() bool {
	return r.Lost == 0 && r.Refused == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Corrupt == 0
}

// String is one line of figures.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent %d, received %d, lost %d, duplicated %d, reordered %d, corrupt %d", r.Sent, r.Received,
		r.Lost, r.Duplicated, r.Reordered, r.Corrupt)
	if r.Refused > 0 {
		fmt.Fprintf(&b, ", refused %d", r.Refused)
	}
	fmt.Fprintf(&b, ", longest gap %v, of a flow %v, in %v", r.Gap, r.FlowGap, r.Took.Round(time.Millisecond))
	return b.String()
}

// Start begins to send. The stream ends with Stop.
func (s Stream) Start() (*Running, error) {
	if s.Flows <= 0 {
		s.Flows = 8
	}
	if s.Rate <= 0 {
		s.Rate = 10_000
	}
	if s.Size <= 0 {
		s.Size = 200
	}
	if s.Copies <= 0 {
		s.Copies = 1
	}
	s.Batch = min(max(s.Batch, 1), maxBatch)
	if s.Size < markSize {
		return nil, fmt.Errorf("start stream: size %d is below %d", s.Size, markSize)
	}
	r := &Running{
		s: s, run: rand.Uint32(), in: -1,
		senderDone: make(chan struct{}), recvDone: make(chan struct{}),
		sent: make([]atomic.Uint64, s.Flows), flows: make([]tally, s.Flows),
	}
	if err := r.start(); err != nil {
		r.release()
		return nil, fmt.Errorf("start stream to %s: %w", s.Address, err)
	}
	return r, nil
}

func (r *Running) start() (err error) {
	if r.s.Witness == nil && hooked {
		if r.s.Witness, err = shareWitness(); err != nil {
			return err
		}
		r.sharesWitness = true
	}
	if err := r.s.To.Do(r.listen); err != nil {
		return err
	}
	if err := r.s.From.Do(r.connect); err != nil {
		return err
	}
	r.begin(nanotime())
	go r.receive()
	if r.s.Batch > 1 {
		go r.sendVolleys()
	} else {
		go r.send()
	}
	return nil
}

// begin sets the time from which gaps count.
func (r *Running) begin(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started.Store(now)
	r.lastSend.Store(now)
	r.all.last = now
	for i := range r.flows {
		r.flows[i].gaps.last = now
	}
}

// Received returns how many frames have arrived, without duplicates. Poll it rather than Report, which costs much.
func (r *Running) Received() uint64 { return r.received() }

// Port is the receiver's.
func (r *Running) Port() int { return r.port }

// Stop stops sending, waits for frames in flight, and returns the result. Stopping twice returns the same.
func (r *Running) Stop() (Report, error) {
	r.finish.Do(func() {
		r.stop.Store(true)
		<-r.senderDone
		r.settle()
		r.endOfDay.Store(true)
		<-r.recvDone
		r.release()
		r.report = r.Report()
	})
	return r.report, r.err
}

// settle waits until all frames have arrived, or none for longer than the machine has delayed frames before.
func (r *Running) settle() {
	const least, most, longest = 150 * time.Millisecond, 3 * time.Second, 10 * time.Second
	quiet := min(most, least+4*r.Report().Gap.Length)
	start, changed, before := time.Now(), time.Now(), uint64(0)
	for {
		got := r.arrived()
		if got != before {
			before, changed = got, time.Now()
		}
		if got >= r.sentSoFar()*uint64(r.s.Copies) || time.Since(changed) > quiet || time.Since(start) > longest {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *Running) sentSoFar() (n uint64) {
	for i := range r.sent {
		n += r.sent[i].Load()
	}
	return n
}

func (r *Running) received() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.flows {
		n += r.flows[i].distinct
	}
	return n
}

// arrived is received with the copies that the stream expects.
func (r *Running) arrived() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.flows {
		n += r.flows[i].distinct
		if r.s.Copies > 1 {
			n += r.flows[i].duplicated
		}
	}
	return n
}

func (r *Running) release() {
	if r.sharesWitness {
		r.err, r.sharesWitness = errors.Join(r.err, unshareWitness()), false
	}
	for _, fd := range append(r.out, r.in) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	r.out, r.in = nil, -1
}

// Report returns the figures so far. Frames in flight count as lost.
func (r *Running) Report() Report {
	out := Report{Rate: r.s.Rate, Flows: make([]FlowReport, len(r.flows))}
	still := r.standstills()
	end := r.lastSend.Load()
	always := Interval{0, 1<<63 - 1}
	// Sent is read first, so that no frame is received but not sent.
	out.Refused = r.refused.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.flows {
		t, f := &r.flows[i], &out.Flows[i]
		f.Sent, f.Received, f.Duplicated, f.Reordered = max(r.sent[i].Load(), t.next), t.distinct, t.duplicated,
			t.reordered
		f.Lost = f.Sent - f.Received
		f.Gap = t.gaps.worst(always, still, end)
		f.Missing = t.missing(f.Sent, 8)
		if r.s.FirstPort > 0 {
			f.SourcePort = r.s.FirstPort + i*r.s.PortStep
		}
		out.Sent += f.Sent
		out.Received += f.Received
		out.Lost += f.Lost
		out.Duplicated += f.Duplicated
		out.Reordered += f.Reordered
		out.FlowGap.merge(f.Gap)
	}
	out.Corrupt = r.corrupt
	out.Gap = r.all.worst(always, still, end)
	out.Took = duration(end - r.started.Load())
	out.Standstill = duration(Interval{r.started.Load(), end}.overlap(still))
	return out
}

// GapWithin returns the longest gaps that overlap a span of time, of all flows together and of a single flow.
func (r *Running) GapWithin(from, to time.Time) (all, flow Gap) {
	still := r.standstills()
	span := Interval{from.UnixNano(), to.UnixNano()}
	end := min(r.lastSend.Load(), span.To)
	r.mu.Lock()
	defer r.mu.Unlock()
	all = r.all.worst(span, still, end)
	for i := range r.flows {
		flow.merge(r.flows[i].gaps.worst(span, still, end))
	}
	return all, flow
}

// standstills returns the union of what the witness and the sender saw.
func (r *Running) standstills() []Interval {
	var out []Interval
	if r.s.Witness != nil {
		out = r.s.Witness.Standstills()
	}
	r.lateMu.Lock()
	out = append(out, r.late...)
	r.lateMu.Unlock()
	return union(out)
}
