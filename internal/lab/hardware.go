package lab

import "math"

// Hardware is what a NIC is like. The zero value is a good one: it filters what it receives, as a real NIC
// does and veth and TAP do not, for as many addresses as it is told.
type Hardware struct {
	// HearsAll hands every frame of the wire to the host, as if the NIC were promiscuous for good.
	HearsAll bool
	// Slots is how many addresses besides its own the filter has room for, unicast before multicast; 0 is no limit.
	Slots int
	// Overflow is what happens when more are asked for.
	Overflow Overflow
	// OneMAC is a virtual function that may use its own address only: it ignores further unicast addresses.
	OneMAC bool
	// NoPromisc ignores promiscuity, silently as virtual functions without the right to it do.
	NoPromisc bool
	// FilterVLANs drops tagged frames except those of VLANs, and of VID 0, unless the NIC is promiscuous.
	FilterVLANs bool
	VLANs       []uint16
}

// Overflow is what a NIC does that is to filter more addresses than it has room for.
type Overflow uint8

const (
	// TakesAll has it take in all of a kind, as most drivers do: every multicast frame, or where
	// the unicast addresses alone are too many every frame.
	TakesAll Overflow = iota
	// LosesRest has it filter for those that came first and lose frames for the rest without a sign.
	LosesRest
)

// filters reports whether a NIC needs a receive filter at all.
func (hw Hardware) filters() bool { return !hw.HearsAll }

func (hw Hardware) rules() rxRules {
	r := rxRules{
		Slots: math.MaxUint32, HearsAll: hw.HearsAll, Overflows: hw.Overflow == TakesAll,
		OneMAC: hw.OneMAC, NoPromisc: hw.NoPromisc, VLANs: hw.FilterVLANs,
	}
	if hw.Slots > 0 {
		r.Slots = uint32(hw.Slots)
	}
	for _, vid := range hw.VLANs {
		r.VIDs[vid/64%64] |= 1 << (vid % 64)
	}
	return r
}
