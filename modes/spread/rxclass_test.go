// SPDX-License-Identifier: MIT

package spread

import (
	"net/netip"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"pgregory.net/rapid"
)

// What the data path counts for a sender is found again by the sender's MAC and our address.
func TestHeardSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := rapid.SampledFrom([]string{"10.0.0.1", "192.0.2.7", "fd00::1", "fe80::2"}).Draw(t, "ours")
		p := frametest.IP{Src: "10.0.0.9", Dst: ours, Proto: rapid.SampledFrom([]uint8{1, 6, 17, 47}).Draw(t, "proto"),
			TCI: uint16(rapid.IntRange(0, 4094).Draw(t, "vlan")), Options: rapid.Bool().Draw(t, "options"),
			SrcPort: rapid.Uint16().Draw(t, "sport"), DstPort: rapid.Uint16().Draw(t, "dport")}
		a := netip.MustParseAddr(ours)
		if a.Is6() {
			p.Src = "fd00::9"
		}
		if rapid.Bool().Draw(t, "fragment") {
			p.Frag = 0x2008
		}
		b := p.Frame()
		peer := frame.MAC(rapid.Uint64Range(0, 1<<48-1).Draw(t, "peer"))
		peer.Put(b, 6)
		var h frame.Headers
		frame.Parse(b, &h)
		if got, want := RxClass(&h, b), RxClassOf(peer, a.AsSlice()); got != want || got < 0 || got >= RxClassCount {
			t.Errorf("slot %d, looked for in %d", got, want)
		}
	})
}

// Frames of any kind have a slot, and senders share few.
func TestHeardSlotsDiffer(t *testing.T) {
	const senders = 400
	slots := map[int]bool{}
	for i := range senders {
		b := frametest.IP{Src: "10.0.0.9", Dst: "10.0.0.1", Proto: 6}.Frame()
		frame.MAC(0x020000000000+uint64(i)).Put(b, 6)
		var h frame.Headers
		frame.Parse(b, &h)
		slots[RxClass(&h, b)] = true
	}
	if len(slots) < senders*9/10 {
		t.Errorf("%d senders have %d slots", senders, len(slots))
	}
}

func FuzzHeardSlot(f *testing.F) {
	f.Add(frametest.IP{Src: "10.0.0.9", Dst: "10.0.0.1", Proto: 6}.Frame())
	f.Add(frametest.IP{Src: "fd00::9", Dst: "fd00::1", Proto: 6, Options: true, TCI: 3}.Frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		var h frame.Headers
		frame.Parse(b, &h)
		if s := RxClass(&h, b); s < 0 || s >= RxClassCount {
			t.Errorf("slot %d", s)
		}
	})
}
