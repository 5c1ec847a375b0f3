// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"nicteam/internal/lab"
)

const (
	pulseFlows    = 8
	pulseInterval = 5 * time.Millisecond
)

// Pulses are numbered datagrams that come back, in several flows, so that some of them go by each NIC on the way.
type Pulses struct {
	witness *lab.Witness
	unwatch func() error
	flows   []*pulse
	stop    chan struct{}
	once    sync.Once
	wait    sync.WaitGroup
	err     error
}

// pulse is one flow.
type pulse struct {
	conn net.Conn

	mu      sync.Mutex
	sent    []int64 // when each number was sent, in ns
	back    []bool
	last    int // highest number that came back, -1
	came    int
	doubled int
	gaps    []span // those above gapFloor
}

// span is a time without an answer, in ns: from the first datagram that had none until the next answer.
type span struct{ from, to int64 }

// gapFloor is the shortest gap that is kept.
const gapFloor = int64(8 * time.Millisecond)

// StartPulses starts flows to an address and port that send everything back.
func StartPulses(ctx context.Context, from *lab.Host, to netip.AddrPort) (*Pulses, error) {
	w, unwatch, err := lab.ShareWitness()
	if err != nil {
		return nil, err
	}
	p := &Pulses{witness: w, unwatch: unwatch, stop: make(chan struct{})}
	for range pulseFlows {
		c, err := from.Dial(ctx, "udp4", to.String())
		if err != nil {
			return nil, errors.Join(err, p.Stop())
		}
		f := &pulse{conn: c, last: -1}
		p.flows = append(p.flows, f)
		p.wait.Go(f.receive)
	}
	p.wait.Go(p.send)
	return p, nil
}

// send sends one datagram of each flow at a time. After a standstill it does not catch up.
func (p *Pulses) send() {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		for _, f := range p.flows {
			f.send()
		}
	}
}

func (f *pulse) send() {
	b := make([]byte, 64)
	f.mu.Lock()
	binary.BigEndian.PutUint64(b, uint64(len(f.sent)))
	f.sent, f.back = append(f.sent, time.Now().UnixNano()), append(f.back, false)
	f.mu.Unlock()
	_, _ = f.conn.Write(b) // one that cannot be sent is lost
}

func (f *pulse) receive() {
	b := make([]byte, 256)
	for {
		n, err := f.conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n >= 8 {
			f.take(int(binary.BigEndian.Uint64(b)), time.Now().UnixNano())
		}
	}
}

func (f *pulse) take(n int, at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case n < 0 || n >= len(f.sent):
		return
	case f.back[n]:
		f.doubled++
		return
	}
	f.back[n] = true
	f.came++
	if n > f.last {
		if g := (span{f.sent[f.last+1], at}); g.to-g.from > gapFloor {
			f.gaps = append(f.gaps, g)
		}
		f.last = n
	}
}

// Beat is what the flows saw in a span of time.
type Beat struct {
	Gap     lab.Gap       // the longest of a flow
	Silence time.Duration // the longest in which all that a flow sent was lost
	Sent    int
	Lost    int
	Doubled int // since the start
}

func (b Beat) String() string {
	return fmt.Sprintf("%d pulses, %d lost within %v, %d doubled, longest gap %v", b.Sent, b.Lost,
		b.Silence.Round(time.Millisecond), b.Doubled, b.Gap)
}

// Between returns what became of the datagrams sent in a span of time, and the longest gap that touches it.
func (p *Pulses) Between(from, to time.Time) (b Beat) {
	for _, f := range p.flows {
		f.mu.Lock()
		lostSince := int64(0)
		for i, at := range f.sent {
			switch {
			case at < from.UnixNano() || at > to.UnixNano():
			case f.back[i]:
				b.Sent++
				if lostSince != 0 {
					b.Silence = max(b.Silence, time.Duration(at-lostSince))
				}
				lostSince = 0
			default:
				b.Sent, b.Lost = b.Sent+1, b.Lost+1
				if lostSince == 0 {
					lostSince = at
				}
			}
		}
		b.Doubled += f.doubled
		gaps := f.gaps
		if next := f.last + 1; next < len(f.sent) {
			gaps = append(gaps[:len(gaps):len(gaps)], span{f.sent[next], max(to.UnixNano(), f.sent[next])})
		}
		f.mu.Unlock()
		for _, g := range gaps {
			if g.to < from.UnixNano() || g.from > to.UnixNano() {
				continue
			}
			begun, ended := time.Unix(0, g.from), time.Unix(0, g.to)
			length := ended.Sub(begun)
			b.Gap.Length = max(b.Gap.Length, length)
			if net := length - p.witness.Within(begun, ended); net > b.Gap.Net {
				b.Gap.Net, b.Gap.At = net, begun
			}
		}
	}
	return b
}

// Stop ends the flows. Stopping twice is fine.
func (p *Pulses) Stop() error {
	p.once.Do(func() {
		close(p.stop)
		for _, f := range p.flows {
			f.conn.Close()
		}
		p.wait.Wait()
		p.err = p.unwatch()
	})
	return p.err
}
