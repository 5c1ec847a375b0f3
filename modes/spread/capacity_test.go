// SPDX-License-Identifier: MIT

package spread

import (
	"math/rand/v2"
	"testing"
)

// toyNIC is a queue with a rate, of which only about so much can be read.
type toyNIC struct {
	bps     float64
	waiting float64 // bytes
	bound   float64 // of waiting
	at      int64
	error   float64 // of what is read
	sent    uint64  // since the last reading
}

// run sends what waits until now.
func (n *toyNIC) run(now int64) {
	n.waiting = max(0, n.waiting-n.bps/8*float64(now-n.at)/1e9)
	n.at = now
}

// give gives it bytes, which it drops where too many wait.
func (n *toyNIC) give(bytes int) {
	if n.waiting+float64(bytes) > n.bound {
		return
	}
	n.waiting += float64(bytes)
	n.sent += uint64(bytes)
}

// read returns what is to be measured.
func (n *toyNIC) read(r *rand.Rand) (sent uint64, waiting int) {
	sent, n.sent = n.sent, 0
	return sent, int(n.waiting * (1 + n.error*(2*r.Float64()-1)))
}

// bound10ms is how much may wait: 10 ms, and some.
func bound10ms(bps float64) float64 {
	if bps == 0 {
		return 256 << 10
	}
	return max(32<<10, bps/8/100)
}

// measureFor offers load Mbit/s in batches, each ms, for so many ms, and reads every 20.
func measureFor(c *Capacity, n *toyNIC, r *rand.Rand, begin int64, millis int, mbps func(ms int) float64,
	check func(ms int)) int64 {
	now := begin
	owed := 0.0
	for i := range millis {
		now += ms
		n.run(now)
		fresh := 0
		for owed += mbps(i) * 1000 / 8; owed >= 1514; owed -= 1514 {
			was := n.sent
			n.give(1514)
			fresh += int(n.sent - was)
		}
		if i%20 == 19 {
			sent, waiting := n.read(r)
			c.Measure(now, sent, waiting, fresh)
			check(i)
		}
	}
	return now
}

func constant(mbps float64) func(int) float64 { return func(int) float64 { return mbps } }

func TestCapacity(t *testing.T) {
	for _, c := range []struct {
		name       string
		link       uint64 // Mbit/s
		mbps       float64
		offered    func(ms int) float64
		millis     int // until then it may be anything
		least      float64
		most       float64
		source     RateSource
		inaccurate float64
	}{
		{"unknown, overloaded", 0, 200, constant(400), 100, 175, 225, RateMeasured, 0.2},
		{"unknown, small, overloaded", 0, 5, constant(50), 300, 4, 6, RateMeasured, 0.2},
		{"unknown, hardly used", 0, 200, constant(20), 0, 0, 0, RateAssumed, 0.3},
		{"shaped behind a fast link", 10000, 200, constant(400), 200, 175, 225, RateMeasured, 0.2},
		{"a link that says too little", 10, 1000, constant(900), 400, 850, 1000, RateMeasured, 0.1},
		{"a link that says the truth, overloaded", 1000, 1000, constant(2000), 0, 850, 1000, RateMeasured, 0.2},
		{"a link that says the truth, hardly used", 1000, 1000, constant(100), 0, 1000, 1000, RateLink, 0.3},
		// 64 KiB at once just before each reading
		{"a link that says the truth, in bursts", 1000, 1000, func(ms int) float64 {
			if ms%20 == 19 {
				return 600
			}
			return 0
		}, 0, 1000, 1000, RateLink, 0.3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			n := &toyNIC{bps: c.mbps * 1e6, bound: bound10ms(c.mbps * 1e6), error: c.inaccurate}
			var k Capacity
			k.SetLink(c.link * 1e6)
			measureFor(&k, n, r, 0, 5000, c.offered, func(at int) {
				if at < c.millis {
					return
				}
				rate, source := k.rate()
				if source == RateLink {
					rate = c.link * 1e6
				}
				if got := float64(rate) / 1e6; got < c.least || got > c.most ||
					source != c.source && !(source == RateLink && c.source == RateMeasured && c.link*1e6 == rate) {
					t.Fatalf("after %d ms %.1f Mbit/s, %v; want %.0f to %.0f, %v", at, got, source, c.least,
						c.most, c.source)
				}
			})
		})
	}
}

// What changes is followed: at once where frames wait.
func TestCapacityFollows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := &toyNIC{bps: 500e6, bound: bound10ms(500e6), error: 0.1}
	var k Capacity
	at := int64(0)
	for _, mbps := range []float64{500, 100, 800, 20} {
		n.bps = mbps * 1e6
		at = measureFor(&k, n, r, at, 1000, constant(1000), func(ms int) {
			n.bound = bound10ms(float64(k.Bps())) // as the relay does it
			if got := float64(k.Bps()) / 1e6; ms > 500 && (got < mbps*0.85 || got > mbps*1.15) {
				t.Errorf("%d ms after it became %.0f Mbit/s: %.1f", ms, mbps, got)
			}
		})
	}
}

// A machine that stands still for some ms now and then does not make its NICs slow.
func TestCapacityOfAMachineThatStandsStill(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := &toyNIC{bps: 200e6, bound: bound10ms(200e6)}
	var k Capacity
	at := int64(0)
	for _, still := range []int64{5, 15, 30, 60, 200, 1000} {
		for range 5 {
			at = measureFor(&k, n, r, at, 500, constant(300), func(ms int) {
				if got := float64(k.Bps()) / 1e6; ms > 100 && (got < 185 || got > 215) {
					t.Errorf("%d ms after standing still for %d: %.1f Mbit/s", ms, still, got)
				}
			})
			at += still * ms
			n.at = at // nothing left meanwhile
		}
	}
}

// A member that is busy and never backlogged is believed 2 % more each second, as far as its link goes.
func TestCapacityCreeps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var k Capacity
	k.SetLink(1000e6)
	n := &toyNIC{bps: 100e6, bound: bound10ms(100e6)}
	at := measureFor(&k, n, r, 0, 1000, constant(200), func(int) {})
	n.bps = 1000e6 // nobody notices: as much is offered as it was known to carry
	was := float64(k.Bps())
	at = measureFor(&k, n, r, at, 2000, constant(was/1e6*0.95), func(int) {})
	if got := float64(k.Bps()) / was; got < 1.03 || got > 1.05 {
		t.Errorf("2 s later %.3f of what it was", got)
	}
	was = float64(k.Bps())
	at = measureFor(&k, n, r, at, 2000, constant(was/1e6/2), func(int) {})
	if got := float64(k.Bps()) / was; got != 1 {
		t.Errorf("half used for 2 s it became %.3f of what it was", got)
	}
	measureFor(&k, n, r, at, 200, constant(900), func(int) {})
	if got := float64(k.Bps()) / 1e6; got < 850 || got > 1000 {
		t.Errorf("it was seen to carry 900, and is taken for %.0f", got)
	}
}

func TestCapacityOfAnotherLink(t *testing.T) {
	k := Capacity{bps: 90e6, link: 100e6}
	k.SetLink(100e6)
	if k.Bps() != 90e6 {
		t.Error("the same link was forgotten")
	}
	k.SetLink(1000e6)
	if r, s := k.rate(); r != 1000e6 || s != RateLink {
		t.Errorf("another link has %d, %v", r, s)
	}
}
