// SPDX-License-Identifier: MIT

package spread

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// toyTeam is a Picker with the NICs it sends by.
type toyTeam struct {
	p    Picker
	e    Rebalancer
	pl   *Plan
	nics []*toyNIC
	rand *rand.Rand

	frames    []*parsed
	leaves    map[int]float64 // flow → when its last frame leaves
	overtaken int             // frames that would leave more than skew before an earlier one of their flow
	given     int
	dropped   int
	carried   []float64 // bytes, by member
}

func newToyTeam(pl *Plan, flows int, mbps ...float64) *toyTeam {
	t := &toyTeam{pl: pl, rand: rand.New(rand.NewPCG(5, 6)), leaves: map[int]float64{},
		carried: make([]float64, len(mbps))}
	for _, r := range mbps {
		t.nics = append(t.nics, &toyNIC{bps: r * 1e6, bound: bound10ms(0), error: 0.1})
	}
	for i := range flows {
		t.frames = append(t.frames, flowFrame(i))
	}
	return t
}

// send offers load Mbit/s in batches at random times, and reads every 20 ms.
func (t *toyTeam) send(d time.Duration, mbps float64, bytes int) {
	end := t.p.Now + int64(d)
	next := t.p.Now/(20*ms)*(20*ms) + 20*ms
	owed := 0.0
	for t.p.Now < end {
		gap := int64(t.rand.ExpFloat64() * float64(100*us))
		t.p.Now += gap
		for _, n := range t.nics {
			n.run(t.p.Now)
		}
		for owed += mbps / 8 / 1000 * float64(gap); owed >= float64(bytes); owed -= float64(bytes) {
			i := t.rand.IntN(len(t.frames))
			id := t.frames[i].pick(&t.p, t.pl, bytes)
			n := t.nics[id]
			was := n.sent
			n.give(bytes)
			t.given++
			if n.sent == was {
				t.dropped++
				continue
			}
			t.carried[id] += float64(bytes)
			at := float64(t.p.Now) + n.waiting*8e9/n.bps
			if at < t.leaves[i]-float64(t.pl.Shortest.Skew) {
				t.overtaken++
			}
			t.leaves[i] = max(at, t.leaves[i])
		}
		if t.p.Now >= next {
			t.read()
			next += 20 * ms
			if next%(1000*ms) == 0 {
				t.even()
			}
		}
	}
}

// read takes the readings that are due every 20 ms.
func (t *toyTeam) read() {
	for id, n := range t.nics {
		n.run(t.p.Now)
		t.p.Measured(id, n.sent, int(n.waiting*(1+n.error*(2*t.rand.Float64()-1))))
		n.sent = 0
		n.bound = bound10ms(float64(t.p.Flows().Members[id].Capacity))
	}
}

// even runs the Rebalancer, and orders its moves.
func (t *toyTeam) even() {
	if moves := t.e.Moves(t.p.Flows(), t.pl); len(moves) > 0 {
		pl := *t.pl
		order(&pl, moves...)
		t.pl = &pl
	}
}

func (t *toyTeam) forget() {
	t.overtaken, t.given, t.dropped = 0, 0, 0
	clear(t.carried)
}

// NICs of unknown or wrong speed carry what they can, and flows keep their order.
func TestRatesFindThemselves(t *testing.T) {
	for _, c := range []struct {
		name string
		pl   *Plan
		mbps []float64
	}{
		{"unknown 100 and 500", shortestPlan(-1000, -1000), []float64{100, 500}},
		{"four unknown of 200", shortestPlan(-1000, -1000, -1000, -1000), []float64{200, 200, 200, 200}},
		{"fast links, shaped", shortestPlan(10000, 10000, 1000), []float64{200, 200, 400}},
		{"one that says too little", shortestPlan(10, 1000), []float64{400, 1000}},
		{"what links say is true", shortestPlan(100, 500), []float64{100, 500}},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newToyTeam(c.pl, 100, c.mbps...)
			all := 0.0
			for _, r := range c.mbps {
				all += r
			}
			team.send(3*time.Second, all*1.2, 1514)
			team.forget()
			for _, load := range []float64{1.2, 0.9, 0.5, 0.9} {
				const seconds = 2
				was := team.p.Flows().Forced
				team.send(seconds*time.Second, all*load, 1514)
				sum := 0.0
				for _, b := range team.carried {
					sum += b * 8 / 1e6 / seconds
				}
				t.Logf("load %.1f: carried %.0f of %.0f, %v; dropped %d, overtaken %d of %d, %d forced", load, sum, all,
					rounded(team.carried, seconds), team.dropped, team.overtaken, team.given, team.p.Flows().Forced-was)
				if sum < 0.95*all*min(load, 1) {
					t.Errorf("load %.1f: carried %.0f of %.0f", load, sum, all*min(load, 1))
				}
				if load < 1 && team.dropped > team.given/1000 {
					t.Errorf("load %.1f: dropped %d of %d", load, team.dropped, team.given)
				}
				if forced := int(team.p.Flows().Forced - was); team.overtaken > 20*forced {
					t.Errorf("load %.1f: overtaken %d of %d", load, team.overtaken, team.given)
				}
				team.forget()
			}
			for id, q := range team.p.Flows().Members[:len(c.mbps)] {
				t.Logf("member %d: %d Mbit/s, %v", id, q.Rate/1e6, q.Source)
			}
		})
	}
}

func rounded(carried []float64, seconds float64) (mbps []int) {
	for _, b := range carried {
		mbps = append(mbps, int(math.Round(b*8/1e6/seconds)))
	}
	return mbps
}

// A weight says how much of what the others carry a member is to carry when they are nearly full. Where there is less
// to do it has less than its part, as slow members have.
func TestRatesAreWeighted(t *testing.T) {
	for _, weight := range []float64{0.5, 0.25} {
		pl := shortestPlan(-1000, -1000, -1000)
		pl.Weights[1] = uint32(weight * MaxShare)
		team := newToyTeam(pl, 200, 200, 200, 200)
		all := 200 * (2 + weight)
		team.send(3*time.Second, all*1.1, 1514)
		for _, load := range []float64{0.95, 0.5, 0.8} {
			team.forget()
			team.send(2*time.Second, all*load, 1514)
			got := rounded(team.carried, 2)
			part := team.carried[1] / team.carried[0]
			t.Logf("weight %.2f, load %.2f: %v, overtaken %d, dropped %d of %d", weight, load, got, team.overtaken,
				team.dropped, team.given)
			if load > 0.9 && part < weight*0.85 || part < weight*0.4 || part > weight*1.15 || team.overtaken > 0 ||
				team.dropped > team.given/1000 {
				t.Errorf("weight %.2f, load %.2f: %v, that is %.3f", weight, load, got, part)
			}
		}
	}
}

// After an overload a member with a small weight is not shunned for long.
func TestRatesForgetAnOverload(t *testing.T) {
	pl := shortestPlan(-1000, -1000)
	pl.Weights[1] = MaxShare / 4
	team := newToyTeam(pl, 50, 200, 200)
	team.send(2*time.Second, 1000, 1514)
	q := team.p.Flows().Members[1]
	if ahead := q.Clock - team.p.Now; ahead > 200*ms {
		t.Errorf("the clock is %d ms ahead", ahead/ms)
	}
}

// A member that stood nearly still for a while, and is given nothing for that, is not shunned for ever.
func TestRatesRecoverFromAStandstill(t *testing.T) {
	for _, c := range []struct {
		name  string
		pl    *Plan
		bytes int
		mbps  uint64 // that it seems to carry
	}{
		{"unknown", shortestPlan(-1000, -1000), 1514, 1},
		{"known", shortestPlan(1000, 1000), 1514, 1},
		{"super-frames", shortestPlan(-1000, -1000), 20000, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newToyTeam(c.pl, 4, 200, 200)
			team.send(2*time.Second, 350, c.bytes)
			team.p.shortest.capacity[1].bps = c.mbps * 1e6
			team.p.shortest.updateRates()
			clear(team.p.Flows().Slots[:])
			for range 60 {
				team.send(time.Second, 350, c.bytes)
				team.send(20*time.Millisecond, 0, c.bytes) // flows pause
			}
			team.forget()
			team.send(2*time.Second, 350, c.bytes)
			if got := rounded(team.carried, 2); got[1] < 80 {
				t.Errorf("carried %v Mbit/s, %d Mbit/s is what it is taken for", got,
					team.p.Flows().Members[1].Rate/1e6)
			}
		})
	}
}

// What readings add to what was noted before them counts while that still waits, and no longer.
func TestReadingsAddUp(t *testing.T) {
	q := Queue{Clock: 100 * us, cost: 8 * costOne} // 8 ns a byte, as at 1 Gbit/s
	f := FlowSlot{Until: q.Clock}
	for _, c := range []struct {
		now           int64
		sent, waiting uint64
		want          int64 // when what was noted leaves
	}{
		{0, 1000, 12500, 100 * us},            // nothing later than noted
		{0, 1000, 125000, 1000 * us},          // 1 ms waits
		{500 * us, 1000, 250000, 2500 * us},   // more of the same
		{1000 * us, 250000, 250000, 600 * us}, // all that waits was given since then
		{1200 * us, 1000, 0, 100 * us},        // nothing waits
	} {
		q.setClock(c.now, c.sent, c.waiting, MaxShare)
		if got := q.leaves(&f); got != c.want {
			t.Errorf("at %d us: what was noted at %d leaves at %d us, want %d", c.now/us, f.Until/us, got/us, c.want/us)
		}
	}
	f.Until = 9000 * us // noted just then, and wrong
	q.setClock(2000*us, 1000, 0, MaxShare)
	if got := q.leaves(&f); got != 2000*us {
		t.Errorf("nothing waits, and it leaves at %d us", got/us)
	}
}
