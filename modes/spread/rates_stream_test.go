// SPDX-License-Identifier: MIT

package spread

import (
	"container/heap"
	"fmt"
	"testing"
	"time"
)

// A toyStream is a flow that never pauses by itself: it sends what its window allows, opens the window with what
// is acknowledged, and halves it when something is lost.
type toyStream struct {
	window, flying float64 // bytes
	threshold      float64
	recover        int64 // losses until then are one
	acked          float64
}

type toyAck struct {
	at    int64
	flow  int
	bytes int
	lost  bool
}

type toyAcks []toyAck

func (a toyAcks) Len() int           { return len(a) }
func (a toyAcks) Less(i, j int) bool { return a[i].at < a[j].at }
func (a toyAcks) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *toyAcks) Push(x any)        { *a = append(*a, x.(toyAck)) }
func (a *toyAcks) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

// stream lets every flow of the team send as much as it can for a time.
func (t *toyTeam) stream(flows []toyStream, acks *toyAcks, d time.Duration) {
	const rtt = 300 * us
	end := t.p.Now + int64(d)
	next := t.p.Now/(20*ms)*(20*ms) + 20*ms
	for t.p.Now < end {
		for i := range flows {
			f := &flows[i]
			for f.flying+1514 < f.window {
				bytes := max(int(min(f.window-f.flying, f.window/4, 65000))/1514*1514, 1514)
				id := t.frames[i].pick(&t.p, t.pl, bytes)
				n := t.nics[id]
				n.run(t.p.Now)
				was := n.sent
				n.give(bytes)
				t.given++
				f.flying += float64(bytes)
				ack := toyAck{t.p.Now + int64(n.waiting*8e9/n.bps) + rtt, i, bytes, n.sent == was}
				if !ack.lost {
					t.carried[id] += float64(bytes)
					if at := float64(ack.at); at < t.leaves[i]-float64(t.pl.Shortest.Skew) {
						t.overtaken++
					} else {
						t.leaves[i] = at
					}
				}
				heap.Push(acks, ack)
			}
		}
		if len(*acks) > 0 {
			a := heap.Pop(acks).(toyAck)
			t.p.Now = max(a.at, t.p.Now)
			f := &flows[a.flow]
			f.flying -= float64(a.bytes)
			switch {
			case a.lost && a.at > f.recover:
				f.window = max(f.window*0.7, 4*1514)
				f.threshold = f.window
				f.recover = a.at + 20*ms
			case a.lost:
			case f.window < f.threshold:
				f.window += float64(a.bytes)
			default:
				f.window += 20 * 1514 * float64(a.bytes) / f.window
			}
			f.acked += float64(a.bytes)
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

// Long flows, wherever their first frames put them, fill members of unknown speed within 3 s, and stay where they are.
func TestStreamsFillTheTeam(t *testing.T) {
	for _, c := range []struct {
		mbps  []float64
		flows int
		sum   float64
	}{
		{[]float64{200, 200, 200, 200}, 8, 0.95},
		{[]float64{100, 500}, 12, 0.93},
		{[]float64{200, 200}, 2, 0.95},
	} {
		for salt := range 6 {
			t.Run(fmt.Sprintf("%v by %d, %d", c.mbps, c.flows, salt), func(t *testing.T) {
				var links []int
				all := 0.0
				for _, r := range c.mbps {
					links = append(links, []int{-1000, 10000}[salt%2])
					all += r
				}
				pl := shortestPlan(links...)
				pl.Hash.Salt = uint64(salt)
				team := newToyTeam(pl, c.flows, c.mbps...)
				flows := make([]toyStream, c.flows)
				for i := range flows {
					flows[i] = toyStream{window: 10 * 1514, threshold: 1e9}
					team.p.Now += 3 * ms
					team.frames[i].pick(&team.p, pl, 74)
				}
				var acks toyAcks
				team.stream(flows, &acks, 3*time.Second)
				warm, forced := team.overtaken, team.p.Flows().Forced
				team.forget()
				team.stream(flows, &acks, 5*time.Second)
				sum, most := 0.0, 0.0
				for id, b := range team.carried {
					sum += b * 8 / 5e6
					most = max(most, b*8/5e6/c.mbps[id])
				}
				t.Logf("%v: %.3f of %.0f, busiest %.3f × mean, %d forced in 3 s and %d later; overtaken %d "+
					"and %d of %d",
					rounded(team.carried, 5), sum/all, all, most*all/sum, forced, team.p.Flows().Forced-forced,
					warm, team.overtaken, team.given)
				if sum < c.sum*all || most*all/sum > 1.05 {
					t.Errorf("%.3f of %.0f, busiest %.3f × mean", sum/all, all, most*all/sum)
				}
			})
		}
	}
}

// Members that come while long flows fill the others get their part within 3 s, at the price of few moves by order.
func TestStreamsFillMembersThatCome(t *testing.T) {
	for salt := range 6 {
		all := shortestPlan(-1000, -1000, -1000, -1000)
		all.Hash.Salt = uint64(salt)
		two := *all
		two.Distributing = 0b101
		team := newToyTeam(&two, 8, 200, 200, 200, 200)
		flows := make([]toyStream, 8)
		for i := range flows {
			flows[i] = toyStream{window: 10 * 1514, threshold: 1e9}
		}
		var acks toyAcks
		team.stream(flows, &acks, 2500*time.Millisecond)
		generation := team.pl.Shortest.Generation
		team.pl = all
		team.pl.Shortest.Generation = generation
		team.stream(flows, &acks, 3*time.Second)
		forced := team.p.Flows().Forced
		team.forget()
		team.stream(flows, &acks, 5*time.Second)
		sum, most := 0.0, 0.0
		for _, b := range team.carried {
			sum += b * 8 / 5e6
			most = max(most, b*8/5e6)
		}
		t.Logf("%v, %d forced in 3 s, %d later", rounded(team.carried, 5), forced, team.p.Flows().Forced-forced)
		if sum < 0.95*800 || most > 1.05*sum/4 || forced > 8 || team.p.Flows().Forced > forced+2 {
			t.Errorf("salt %d: %v, %d forced in 3 s, %d later", salt, rounded(team.carried, 5), forced,
				team.p.Flows().Forced-forced)
		}
	}
}
