// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// What programs answer.
const (
	verdictNext     = -1
	verdictShot     = 2
	verdictRedirect = 7
)

// loopback is the NIC that all frames come by, whichever member it is for the moment.
const loopback = 1

// bed is the programs, on no NIC, with every gate open and a clock of the test's own.
type bed struct {
	testing.TB
	*kernel
	now   int64 // ns
	links [spread.MaxMembers]*team.Link
}

func newBed(t testing.TB) *bed {
	t.Helper()
	return newBedLooking(t, waysToLook)
}

// newBedLooking is newBed with programs that look in these ways whether members have links.
func newBedLooking(t testing.TB, ways waysOf) *bed {
	t.Helper()
	labtest.Root(t)
	spec, err := loadProbe()
	labtest.Must(t, err)
	k, err := loadFrom(spec, nil, ways)
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, k.close()) })
	b := &bed{TB: t, kernel: k, now: 1e12}
	b.gates(relay.GateFast)
	for i := range k.cpus {
		k.cpus[i].Ifindex, k.cpus[i].Decided = loopback, relay.GateFast
	}
	return b
}

func (b *bed) gates(to uint32) {
	b.control.TransmitGate = to
	for id := range b.control.ReceiveGate {
		b.control.ReceiveGate[id] = to
	}
}

// outcome is all that can be seen of a run.
type outcome struct {
	Verdict int
	Frame   []byte // as it goes on, where it does
	Counts  counts
	Octets  [spread.MaxMembers]uint64 // that members were given, a super-frame as it is
	Heard   map[int]uint64            // bytes, by slot
	Unicast team.Moved

	Elsewhere frame.Station // that receive reports as moved
}

// run has a program deal with b, a super-frame where gso is not 0.
func (b *bed) run(p *ebpf.Program, f []byte, gso uint16) (o outcome, err error) {
	b.txState.Flows.Now = b.now
	var before counts
	before.read(b.kernel, ^spread.MemberSet(0))
	heard, octets, unicast := *b.rxBytes, b.octets(), b.unicast()
	opts := ebpf.RunOptions{Data: f, DataOut: make([]byte, len(f)+64),
		Context: skBuff{Ifindex: loopback, GSOSize: uint32(gso)}}
	code, err := p.Run(&opts)
	if err != nil {
		return o, err
	}
	o.Verdict = int(int32(code))
	if o.Verdict == verdictRedirect || o.Verdict == verdictNext && p == b.Receive {
		o.Frame = opts.DataOut
	}
	var after counts
	after.read(b.kernel, ^spread.MemberSet(0))
	o.Counts, o.Octets = since(&after, &before), b.octets()
	o.Unicast = b.unicast()
	for id, n := range octets {
		o.Octets[id] -= n
		o.Unicast[id].TX -= unicast[id].TX
		o.Unicast[id].RX -= unicast[id].RX
	}
	for slot, n := range b.rxBytes {
		if n != heard[slot] {
			if o.Heard == nil {
				o.Heard = map[int]uint64{}
			}
			o.Heard[slot] = n - heard[slot]
		}
	}
	return o, nil
}

func (b *bed) unicast() (all team.Moved) {
	b.addMoved(&all, ^spread.MemberSet(0))
	return all
}

func (b *bed) octets() (all [spread.MaxMembers]uint64) {
	for i := range b.cpus {
		for id := range all {
			all[id] += b.cpus[i].Members[id].TxSkbBytes
		}
	}
	return all
}

func since(now, base *counts) (c counts) {
	for id := range c.members {
		var to team.MemberCounters
		addSince(&to, &now.members[id], &base.members[id])
		c.members[id] = to
	}
	for d := range c.noMember {
		c.noMember[d] = now.noMember[d] - base.noMember[d]
	}
	return c
}

// receives makes the loopback NIC that of a member.
func (b *bed) receives(id int) error { return b.setMember(loopback, id) }

// sentBy has it that the adapter sent from these stations just now, and from no others.
func (b *bed) sentBy(pl *spread.Plan, sent []frame.Station) error {
	now := uint64(b.now)
	b.control.RecentUntil = 0
	var old []uint64
	var mac uint64
	for all := b.RecentLocal.Iterate(); all.Next(&mac, new(uint64)); {
		old = append(old, mac)
	}
	for _, m := range old {
		if err := b.RecentLocal.Delete(m); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	for _, s := range pl.Stations {
		var v programStation
		if slices.Contains(sent, s) {
			v.Sent = now
		}
		if err := b.Stations.Update(uint64(s), v, ebpf.UpdateExist); err != nil {
			return err
		}
	}
	for _, s := range sent {
		if !slices.Contains(pl.Stations, s) {
			if err := b.RecentLocal.Put(uint64(s), now); err != nil {
				return err
			}
			b.control.RecentUntil = now + 1e9
		}
	}
	return nil
}

// movedStation returns the station that the program has just reported as moved; 0: none.
func (b *bed) movedStation(pl *spread.Plan) (s frame.Station, err error) {
	for _, x := range pl.Stations {
		var v programStation
		if err := b.Stations.Lookup(uint64(x), &v); err != nil {
			return 0, err
		}
		if v.Reported == uint64(b.now) {
			s = x
		}
	}
	return s, nil
}

// cast is whose addresses there are.
type cast struct {
	members spread.MemberSet
	mac     [spread.MaxMembers]frame.MAC
	behind  []frame.MAC
	others  []frame.MAC
}

func (c *cast) all() []frame.MAC {
	all := append(slices.Clone(c.behind), c.others...)
	for set := c.members; set != 0; set = set.Without(set.First()) {
		all = append(all, c.mac[set.First()])
	}
	return append(all, adapterMAC)
}

func drawCast(t *rapid.T) *cast {
	c := &cast{others: []frame.MAC{peerMAC, 0x0200000000cc, 0}}
	for range rapid.IntRange(1, 5).Draw(t, "members") {
		id := rapid.SampledFrom([]int{0, 1, 2, 3, 31, 32, 62, 63}).Draw(t, "member")
		c.members, c.mac[id] = c.members.With(id), memberMAC(id)
	}
	if rapid.IntRange(0, 3).Draw(t, "MAC of its own") == 0 {
		c.mac[c.members.First()] = adapterMAC
	}
	for i := range rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "behind") {
		c.behind = append(c.behind, frame.MAC(0x0200000000d0+uint64(i)))
	}
	return c
}

func drawSet(t *rapid.T, of spread.MemberSet, name string) spread.MemberSet {
	if rapid.Bool().Draw(t, "all "+name) {
		return of
	}
	return of & spread.MemberSet(rapid.Uint64().Draw(t, name))
}

// drawPlan is a Plan such as no mode would make, but for what programs and relay take for granted.
func drawPlan(t *rapid.T, c *cast, spreads ...spread.Rule) *spread.Plan {
	pl := &spread.Plan{
		Rule: rapid.SampledFrom(spreads).Draw(t, "spread"), Hash: spread.Hash{
			Policy: rapid.SampledFrom(spread.HashPolicies()).Draw(t, "hash"), Salt: rapid.Uint64().Draw(t, "salt")},
		Shortest:     &spread.Shortest{},
		Distributing: drawSet(t, c.members, "distributing"), Collecting: drawSet(t, c.members, "collecting"),
		Multicast: drawSet(t, c.members, "multicast"),
		Suspect:   c.members &^ drawSet(t, c.members, "sound"),
		Active:    -1, Next: -1, PerMember: rapid.Bool().Draw(t, "per member"),
		Promiscuous: rapid.Bool().Draw(t, "promiscuous"),
		Adapter:     adapterMAC, Behind: c.behind, PacketsPerMember: rapid.IntRange(0, 3).Draw(t, "packets per member"),
	}
	if pl.Distributing != 0 {
		pl.Active = pl.Distributing.First()
		if rapid.IntRange(0, 7).Draw(t, "single") == 0 {
			pl.Active = 5 // one that may not send
		}
	}
	for _, m := range c.behind {
		pl.Stations = append(pl.Stations, frame.StationOf(m, 0))
		if rapid.Bool().Draw(t, "in a VLAN") {
			pl.Stations = append(pl.Stations, frame.StationOf(m, 7), frame.StationOf(m, 7|frame.ServiceTag))
		}
	}
	pl.TeamMACs = append([]frame.MAC{adapterMAC}, c.behind...)
	for set := c.members; set != 0; set = set.Without(set.First()) {
		id := set.First()
		pl.TeamMACs = append(pl.TeamMACs, c.mac[id])
		pl.Weights[id] = rapid.SampledFrom([]uint32{spread.MaxShare, spread.MaxShare / 2, 1000, 1}).Draw(t, "share")
		pl.Shortest.Rates[id] = rapid.SampledFrom([]uint64{10e6, 100e6, 1e9, 10e9}).Draw(t, "rate")
		for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "heirs") {
			pl.Filter[id] = append(pl.Filter[id], rapid.SampledFrom(c.all()).Draw(t, "heir of"))
		}
	}
	pl.Shortest.SpeedKnown = drawSet(t, c.members, "known")
	if rapid.IntRange(0, 7).Draw(t, "no slots") != 0 {
		pl.Pins = make([]uint8, spread.SlotCount)
		ids := []uint8{spread.NoMember}
		for set := c.members; set != 0; set = set.Without(set.First()) {
			ids = append(ids, uint8(set.First()), uint8(set.First()))
		}
		seed := rapid.IntRange(1, 1000).Draw(t, "slots")
		for i := range pl.Pins {
			pl.Pins[i] = ids[(i*seed+i*i)%len(ids)]
		}
		pl.Slots = &spread.SlotTable{Members: pl.Pins}
	}
	return pl
}

// apply puts a Plan in force among a cast's members.
func (b *bed) apply(pl *spread.Plan, c *cast) error {
	b.links, pl.MACs = linksOf(c), c.mac
	return b.applyPlan(pl, &b.links)
}

func linksOf(c *cast) (links [spread.MaxMembers]*team.Link) {
	for set := c.members; set != 0; set = set.Without(set.First()) {
		id := set.First()
		links[id] = &team.Link{Index: 100 + id}
	}
	return links
}
