// SPDX-License-Identifier: MIT

package modes

import (
	"net/netip"
	"strings"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

func end(a string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a), port)
}

// What explain says is what Pick does with a frame of the flow that somebody else built, and
// what it foretells is what happens when the member dies.
func TestExplainIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state(XOR, rapid.IntRange(1, 6).Draw(t, "members"))
		for i := range st.Members {
			st.Members[i].Weight = rapid.Float64Range(0.1, 10).Draw(t, "weight")
		}
		st.Settings.Salt = rapid.Uint64().Draw(t, "salt")
		st.Settings.Hash = rapid.SampledFrom(spread.HashPolicies()).Draw(t, "hash")
		p := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, TTL: rapid.Byte().Draw(t, "ttl"),
			SrcPort: rapid.Uint16().Draw(t, "sport"), DstPort: rapid.Uint16().Draw(t, "dport"),
			DstMAC: frame.MAC(rapid.Uint64Range(1, 1<<48-1).Draw(t, "mac")),
			TCI:    uint16(rapid.IntRange(0, 4094).Draw(t, "vlan"))}
		f := spread.Flow{Proto: 6, DstMAC: p.DstMAC, VLAN: p.TCI}
		if rapid.Bool().Draw(t, "v6") {
			p.Src, p.Dst = "fd00::1", "fd00::2"
		}
		switch rapid.IntRange(0, 2).Draw(t, "protocol") {
		case 0:
			p.Proto, f.Proto = 17, 17
		case 1:
			p.Proto, p.SrcPort, p.DstPort = 1, 0, 0
			p.Body = []byte{8, 0, 1, 2, 3, 4, 5, 6, 7, 8}
			if p.Src != "10.0.0.1" {
				p.Proto, p.Body[0] = 58, 128
			}
			f.Proto = p.Proto
		}
		f.Src, f.Dst = end(p.Src, p.SrcPort), end(p.Dst, p.DstPort)

		m := start(st)
		pl := m.Plan()
		b := p.Frame()
		var h frame.Headers
		frame.Parse(b, &h)
		var picker spread.Picker
		got := spread.Explain(pl, nil, names, f)
		if want := picker.Pick(pl, &h, b, len(b)); got.All != want || got.Member != want.First() {
			t.Fatalf("explained %+v, picked %b", got, want)
		}
		if !got.Hashed || got.Hash != pl.Hash.Of(&h, b) || got.Slot != spread.Slot(got.Hash) {
			t.Errorf("explained %+v", got)
		}
		m.Handle(t0, change(st, func(m []Member) { m[got.Member].Usable = false }))
		if after := spread.Explain(m.Plan(), nil, names, f); after.Member != got.IfDead {
			t.Errorf("%s was to become %d, became %d", f, got.IfDead, after.Member)
		}
	})
}

func TestExplainWords(t *testing.T) {
	flow, err := spread.ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		st     State
		member int
		dead   int
		why    string
		after  string
	}{
		{"active-backup", state(ActiveBackup, 2), 0, 1, "eth0 is the active member", "eth1 would become active"},
		{"active-backup alone", state(ActiveBackup, 1), 0, -1, "eth0 is the active member",
			"no other member is usable"},
		{"round-robin", state(RoundRobin, 2), -1, -1, "whatever the flow; one of eth0, eth1", "the others share"},
		{"round-robin alone", state(RoundRobin, 1), 0, -1, "eth0", "no other"},
		{"broadcast", state(Broadcast, 2), -1, -1, "every member: eth0, eth1", "copies"},
		{"nobody", state(XOR, 0), -1, -1, "no member may send", "no member may send"},
		{"xor alone", state(XOR, 1), 0, -1, "eth0 is the only member", "no other member"},
		{"layer2 without the MAC", func() State { s := state(XOR, 2); s.Settings.Hash = spread.Layer2; return s }(), -1,
			-1, `add "to MAC"`, "depends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := spread.Explain(start(c.st).Plan(), nil, names, flow)
			if e.Member != c.member || e.IfDead != c.dead || !strings.Contains(e.Why, c.why) ||
				!strings.Contains(e.IfDeadWhy, c.after) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestExplainSlotsThatGoOver(t *testing.T) {
	flow, err := spread.ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	st := state(XOR, 3)
	m := start(st)
	was := spread.Explain(m.Plan(), nil, names, flow)
	m.Handle(t0, change(st, func(m []Member) { m[was.Member].Draining = true }))
	e := spread.Explain(m.Plan(), nil, names, flow)
	if e.Member != was.Member || e.IfDead != was.IfDead ||
		e.All != spread.MemberSet(0).With(was.Member).With(was.IfDead) || !e.Hashed || e.Slot != was.Slot {
		t.Errorf("%+v, was %+v", e, was)
	}
	for _, s := range []string{"migrates from " + names(was.Member) + " to " + names(was.IfDead), "within 200ms"} {
		if !strings.Contains(e.Why, s) {
			t.Errorf("%q lacks %q", e.Why, s)
		}
	}
	m.Handle(m.Deadline(), Tick{})
	if e := spread.Explain(m.Plan(), nil, names, flow); e.Member != was.IfDead || strings.Contains(e.Why, "migrates") ||
		strings.Contains(e.Why, names(was.Member)) {
		t.Errorf("after it: %+v", e)
	}
}

// A MAC behind the adapter is pinned where explain foretells when its member is gone.
func TestExplainPinsIsExact(t *testing.T) {
	for i := range 50 {
		st := state(ELB, 4)
		st.Behind = stations(0, 0x020000000500+frame.MAC(i))
		st.Members[1].OwnMAC = i%2 == 0
		f := spread.Flow{Proto: 17, Src: end("10.0.0.7", 5), Dst: end("10.0.0.2", 7), SrcMAC: st.Behind[0].MAC()}
		m := start(st)
		e := spread.Explain(m.Plan(), nil, names, f)
		m.Handle(t0, change(st, func(m []Member) { m[e.Member].Usable = false }))
		if after := spread.Explain(m.Plan(), nil, names, f); after.Member != e.IfDead || e.Member == e.IfDead {
			t.Errorf("%d: was to become %d, became %d", i, e.IfDead, after.Member)
		}
	}
}
