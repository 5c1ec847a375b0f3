package modes

import (
	"net/netip"
	"testing"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

// What the data path counts for a sender is found again by the sender's MAC and our address.
func TestHeardSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := rapid.SampledFrom([]string{"10.0.0.1", "192.0.2.7", "fd00::1", "fe80::2"}).Draw(t, "ours")
		p := ip{src: "10.0.0.9", dst: ours, proto: rapid.SampledFrom([]uint8{1, 6, 17, 47}).Draw(t, "proto"),
			tci: uint16(rapid.IntRange(0, 4094).Draw(t, "vlan")), options: rapid.Bool().Draw(t, "options"),
			sport: rapid.Uint16().Draw(t, "sport"), dport: rapid.Uint16().Draw(t, "dport")}
		a := netip.MustParseAddr(ours)
		if a.Is6() {
			p.src = "fd00::9"
		}
		if rapid.Bool().Draw(t, "fragment") {
			p.frag = 0x2008
		}
		b := p.frame()
		peer := frame.MAC(rapid.Uint64Range(0, 1<<48-1).Draw(t, "peer"))
		peer.Put(b, 6)
		var h frame.Headers
		frame.Parse(b, &h)
		if got, want := HeardSlot(&h, b), heardFrom(peer, a.AsSlice()); got != want || got < 0 || got >= HeardCount {
			t.Errorf("slot %d, looked for in %d", got, want)
		}
	})
}

// Frames of any kind have a slot, and senders share few.
func TestHeardSlotsDiffer(t *testing.T) {
	const senders = 400
	slots := map[int]bool{}
	for i := range senders {
		b := ip{src: "10.0.0.9", dst: "10.0.0.1", proto: 6}.frame()
		frame.MAC(0x020000000000+uint64(i)).Put(b, 6)
		var h frame.Headers
		frame.Parse(b, &h)
		slots[HeardSlot(&h, b)] = true
	}
	if len(slots) < senders*9/10 {
		t.Errorf("%d senders have %d slots", senders, len(slots))
	}
}

func FuzzHeardSlot(f *testing.F) {
	f.Add(ip{src: "10.0.0.9", dst: "10.0.0.1", proto: 6}.frame())
	f.Add(ip{src: "fd00::9", dst: "fd00::1", proto: 6, options: true, tci: 3}.frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		var h frame.Headers
		frame.Parse(b, &h)
		if s := HeardSlot(&h, b); s < 0 || s >= HeardCount {
			t.Errorf("slot %d", s)
		}
	})
}
