package modes

import (
	"strings"
	"testing"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

func TestParseFlow(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{in: "tcp 10.0.0.1:5000 10.0.0.2:80", want: "tcp 10.0.0.1:5000 10.0.0.2:80"},
		{in: "  UDP  [fd00::1]:5000   [fd00::2]:53 ", want: "udp [fd00::1]:5000 [fd00::2]:53"},
		{in: "icmp 10.0.0.1 10.0.0.2", want: "icmp 10.0.0.1 10.0.0.2"},
		{in: "icmp [fd00::1] fd00::2", want: "icmp fd00::1 fd00::2"},
		{in: "icmpv6 fd00::1 fd00::2", want: "icmp fd00::1 fd00::2"},
		{in: "tcp [::ffff:10.0.0.1]:1 10.0.0.2:2", want: "tcp 10.0.0.1:1 10.0.0.2:2"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan 7 to 02:00:00:00:00:01 from 02:00:00:00:00:02", want: "tcp 10.0.0.1:1 10.0.0.2:2 to 02:00:00:00:00:01 from 02:00:00:00:00:02 vlan 7"},
		{in: "", err: "want a protocol and two ends"},
		{in: "tcp 10.0.0.1:5000", err: "want a protocol and two ends"},
		{in: "tpc 10.0.0.1:1 10.0.0.2:2", err: `did you mean "tcp"`},
		{in: "tcp 10.0.0.1 10.0.0.2:80", err: "want an address and a port"},
		{in: "tcp 10.0.0.1:99999 10.0.0.2:80", err: "want an address and a port"},
		{in: "icmp 10.0.0.1:1 10.0.0.2", err: "want an address"},
		{in: "tcp 10.0.0.1:1 [fd00::1]:2", err: "one end is IPv4"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 extra", err: "unknown word \"extra\""},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan", err: "nothing follows"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan 4095", err: "want 1 to 4094"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 to 5", err: "parse MAC"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlna 5", err: `did you mean "vlan"`},
	} {
		f, err := ParseFlow(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got %v, want an error with %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || f.String() != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, f, err, c.want)
			continue
		}
		if again, err := ParseFlow(f.String()); err != nil || again != f {
			t.Errorf("%q: came back as %q, %v", f, again, err)
		}
	}
}

func FuzzParseFlow(f *testing.F) {
	f.Add("tcp 10.0.0.1:5000 10.0.0.2:80 vlan 5 to 02:00:00:00:00:01")
	f.Add("icmp fd00::1%eth0 [fd00::2]")
	pl := start(state(XOR, 3)).Plan()
	f.Fuzz(func(t *testing.T, s string) {
		flow, err := ParseFlow(s)
		if err != nil {
			return
		}
		if again, err := ParseFlow(flow.String()); err != nil || again != flow {
			t.Fatalf("%q is %+v, its text %q is %+v, %v", s, flow, flow, again, err)
		}
		if e := Explain(pl, nil, names, flow); e.Member < 0 || e.Why == "" {
			t.Fatalf("%q: %+v", s, e)
		}
	})
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
		st.Settings.Hash = rapid.SampledFrom(HashPolicies()).Draw(t, "hash")
		p := ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 6, ttl: rapid.Byte().Draw(t, "ttl"),
			sport: rapid.Uint16().Draw(t, "sport"), dport: rapid.Uint16().Draw(t, "dport"),
			dstMAC: frame.MAC(rapid.Uint64Range(1, 1<<48-1).Draw(t, "mac")),
			tci:    uint16(rapid.IntRange(0, 4094).Draw(t, "vlan"))}
		f := Flow{Proto: 6, DstMAC: p.dstMAC, VLAN: p.tci}
		if rapid.Bool().Draw(t, "v6") {
			p.src, p.dst = "fd00::1", "fd00::2"
		}
		switch rapid.IntRange(0, 2).Draw(t, "protocol") {
		case 0:
			p.proto, f.Proto = 17, 17
		case 1:
			p.proto, p.sport, p.dport = 1, 0, 0
			p.body = []byte{8, 0, 1, 2, 3, 4, 5, 6, 7, 8}
			if p.src != "10.0.0.1" {
				p.proto, p.body[0] = 58, 128
			}
			f.Proto = p.proto
		}
		f.Src, f.Dst = addrPort(p.src, p.sport), addrPort(p.dst, p.dport)

		m := start(st)
		pl := m.Plan()
		b := p.frame()
		var h frame.Headers
		frame.Parse(b, &h)
		var picker Picker
		got := Explain(pl, nil, names, f)
		if want := picker.Pick(pl, &h, b, len(b)); got.All != want || got.Member != want.First() {
			t.Fatalf("explained %+v, picked %b", got, want)
		}
		if !got.Hashed || got.Hash != Hash(pl.Hash, pl.Salt, &h, b) || got.Slot != Slot(got.Hash) {
			t.Errorf("explained %+v", got)
		}
		m.Handle(t0, change(st, func(m []Member) { m[got.Member].Usable = false }))
		if after := Explain(m.Plan(), nil, names, f); after.Member != got.IfDead {
			t.Errorf("%s was to become %d, became %d", f, got.IfDead, after.Member)
		}
	})
}

func TestExplainWords(t *testing.T) {
	flow, err := ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
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
		{"active-backup alone", state(ActiveBackup, 1), 0, -1, "eth0 is the active member", "no other member is usable"},
		{"round-robin", state(RoundRobin, 2), -1, -1, "whatever the flow; one of eth0, eth1", "the others share"},
		{"round-robin alone", state(RoundRobin, 1), 0, -1, "eth0", "no other"},
		{"broadcast", state(Broadcast, 2), -1, -1, "every member: eth0, eth1", "copies"},
		{"nobody", state(XOR, 0), -1, -1, "no member may send", "no member may send"},
		{"xor alone", state(XOR, 1), 0, -1, "eth0 is the only member", "no other member"},
		{"layer2 without the MAC", func() State { s := state(XOR, 2); s.Settings.Hash = Layer2; return s }(), -1, -1, `add "to MAC"`, "depends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Explain(start(c.st).Plan(), nil, names, flow)
			if e.Member != c.member || e.IfDead != c.dead || !strings.Contains(e.Why, c.why) || !strings.Contains(e.IfDeadWhy, c.after) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestExplainSlotsThatGoOver(t *testing.T) {
	flow, err := ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	st := state(XOR, 3)
	m := start(st)
	was := Explain(m.Plan(), nil, names, flow)
	m.Handle(t0, change(st, func(m []Member) { m[was.Member].Draining = true }))
	e := Explain(m.Plan(), nil, names, flow)
	if e.Member != was.Member || e.IfDead != was.IfDead || e.All != MemberSet(0).With(was.Member).With(was.IfDead) || !e.Hashed || e.Slot != was.Slot {
		t.Errorf("%+v, was %+v", e, was)
	}
	for _, s := range []string{"goes over from " + names(was.Member) + " to " + names(was.IfDead), "200ms at the latest"} {
		if !strings.Contains(e.Why, s) {
			t.Errorf("%q lacks %q", e.Why, s)
		}
	}
	m.Handle(m.Deadline(), Tick{})
	if e := Explain(m.Plan(), nil, names, flow); e.Member != was.IfDead || strings.Contains(e.Why, "goes over") || strings.Contains(e.Why, names(was.Member)) {
		t.Errorf("after it: %+v", e)
	}
}
