package modes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1_000_000, 0)

const adapterMAC frame.MAC = 0x020000000100

// member returns a usable member.
func member(id int) Member {
	return Member{ID: id, Name: fmt.Sprintf("eth%d", id), MAC: 0x020000000000 + frame.MAC(id) + 1, Usable: true, Weight: 1}
}

// state returns n usable members.
func state(kind Kind, n int) State {
	st := State{Adapter: adapterMAC, Settings: Settings{Kind: kind, Balance: true, PacketsPerMember: 1, MinMembers: 1}}
	for id := range n {
		st.Members = append(st.Members, member(id))
	}
	return st
}

// change returns st with some members changed; the original stays as it is.
func change(st State, f func(m []Member)) State {
	st.Members = append([]Member(nil), st.Members...)
	f(st.Members)
	return st
}

func names(id int) string { return fmt.Sprintf("eth%d", id) }

// start returns the mode of the state's settings after it has seen the state.
func start(st State) Mode {
	m, err := New(st.Settings)
	if err != nil {
		panic(err)
	}
	m.Handle(t0, st)
	return m
}

// drawState draws a team of any shape.
func drawState(t *rapid.T) State {
	var st State
	st.Adapter = adapterMAC
	st.Settings = Settings{
		Kind:             rapid.SampledFrom([]Kind{ELB, RoundRobin, ActiveBackup, XOR, Broadcast}).Draw(t, "kind"),
		Balance:          rapid.Bool().Draw(t, "balance"),
		Hash:             rapid.SampledFrom(HashPolicies()).Draw(t, "hash"),
		Salt:             rapid.Uint64().Draw(t, "salt"),
		MinMembers:       rapid.IntRange(0, 3).Draw(t, "min members"),
		PacketsPerMember: rapid.IntRange(0, 3).Draw(t, "packets"),
	}
	drawMembers(t, &st)
	return st
}

func drawMembers(t *rapid.T, st *State) {
	st.Members = nil
	for _, id := range rapid.SliceOfNDistinct(rapid.IntRange(0, MaxMembers-1), 0, 6, rapid.ID).Draw(t, "ids") {
		m := member(id)
		m.Usable = rapid.IntRange(0, 3).Draw(t, "usable") > 0
		m.Draining = rapid.IntRange(0, 5).Draw(t, "draining") == 0
		m.Weight = rapid.Float64Range(0.01, 100).Draw(t, "weight")
		m.SpeedBps = rapid.SampledFrom([]uint64{0, 1e9, 1e10}).Draw(t, "speed")
		st.Members = append(st.Members, m)
	}
	sortMembers(st.Members)
}

func sortMembers(m []Member) {
	for i := range m {
		for j := i; j > 0 && m[j].ID < m[j-1].ID; j-- {
			m[j], m[j-1] = m[j-1], m[j]
		}
	}
}

// ip describes an IP frame; build makes it without anything of this package.
type ip struct {
	src, dst     string
	proto        uint8
	sport, dport uint16
	frag         uint16 // IPv4: the flags-and-offset word; IPv6: the fragment header's
	tci          uint16 // not 0: tagged
	body         []byte // instead of a transport header
	ttl          uint8
	dstMAC       frame.MAC
	options      bool // IPv4 options, or an IPv6 hop-by-hop header
}

func (p ip) packet() []byte {
	src, dst := netip.MustParseAddr(p.src), netip.MustParseAddr(p.dst)
	t := p.body
	if t == nil {
		t = make([]byte, 40)
		binary.BigEndian.PutUint16(t, p.sport)
		binary.BigEndian.PutUint16(t[2:], p.dport)
		t[12] = 5 << 4
		t[13] = p.ttl // something else that differs between frames of a flow
	}
	var b []byte
	if src.Is4() {
		b = make([]byte, 20)
		b[0], b[8], b[9] = 0x45, p.ttl, p.proto
		binary.BigEndian.PutUint16(b[6:], p.frag)
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		if p.options {
			b[0] = 0x46
			b = append(b, 1, 1, 1, 1)
		}
	} else {
		b = make([]byte, 40)
		b[0], b[6], b[7] = 0x60, p.proto, p.ttl
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
		if p.frag != 0 {
			b = append(b, p.proto, 0, byte(p.frag>>8), byte(p.frag), 0, 0, 0, 1)
			b[6] = 44
		}
		if p.options {
			b = append(b[:40:40], append([]byte{b[6], 0, 1, 4, 0, 0, 0, 0}, b[40:]...)...)
			b[6] = 0
		}
	}
	return append(b, t...)
}

func (p ip) frame() []byte {
	b := make([]byte, 12)
	p.dstMAC.Put(b, 0)
	adapterMAC.Put(b, 6)
	if p.tci != 0 {
		b = append(b, 0x81, 0, byte(p.tci>>8), byte(p.tci))
	}
	q := p.packet()
	if q[0]>>4 == 4 {
		b = append(b, 8, 0)
	} else {
		b = append(b, 0x86, 0xdd)
	}
	return append(b, q...)
}

func hashOf(p HashPolicy, salt uint64, b []byte) uint64 {
	var h frame.Headers
	frame.Parse(b, &h)
	return Hash(p, salt, &h, b)
}

func addrPort(a string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a), port)
}
