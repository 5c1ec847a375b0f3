package lab

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/safchain/ethtool"
)

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

	// NoSegmentation has the host cut super-frames up before the NIC transmits them.
	NoSegmentation bool
	// NoCoalescing hands received frames to the host one by one, never as super-frames.
	NoCoalescing bool
	// NoTagInsertion has the host write VLAN tags into the frames that the NIC transmits. What is received the
	// kernel strips of its outer tag in any case, before packet sockets.
	NoTagInsertion bool

	// The rest takes a NIC of a Wire; a Cable with it is refused.

	// Reset is how long the NIC has no carrier after its MTU or its MAC has been changed.
	Reset time.Duration
	// SpeedUnknown is how long after the carrier came ethtool shows no speed.
	SpeedUnknown time.Duration
	// LosesFirst is how long after the carrier came frames vanish both ways; NIC.Lost counts them.
	LosesFirst time.Duration
	// LateCarrier is how long after the line was cut or mended the carrier goes or comes. No frame passes
	// meanwhile. Copper takes 350 to 750 ms.
	LateCarrier time.Duration
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

// errUnlikeVeth is of what a veth pair cannot be.
var errUnlikeVeth = errors.New("the carrier of a veth pair is that of the kernel: Reset, SpeedUnknown, LosesFirst and LateCarrier need a Wire")

// suitsVeth returns an error for a NIC that only a Wire can have.
func (hw Hardware) suitsVeth() error {
	if hw.Reset|hw.SpeedUnknown|hw.LosesFirst|hw.LateCarrier != 0 {
		return errUnlikeVeth
	}
	return nil
}

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

// offloads sets what a device does for its host. Its NIC is hw, and far's hardware is at the other end of the line:
// that gets super-frames only from here.
func offloads(e End, hw, far Hardware) error {
	return featuresOff(e, func(f string) bool {
		switch {
		case strings.HasPrefix(f, "tx-vlan-"):
			return hw.NoTagInsertion
		case f == "tx-generic-segmentation":
			return false // the kernel's own, what it does for devices without
		case strings.HasSuffix(f, "-segmentation"):
			return hw.NoSegmentation || far.NoCoalescing
		}
		return false
	})
}

// featuresOff turns off the features of a device for which f holds.
func featuresOff(e End, f func(feature string) bool) error {
	err := e.Node.base().Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		states, err := tool.FeaturesWithState(e.Name)
		if err != nil {
			return err
		}
		off := map[string]bool{}
		for name, s := range states {
			if s.Active && f(name) {
				off[name] = false
			}
		}
		if len(off) == 0 {
			return nil
		}
		return tool.Change(e.Name, off)
	})
	if err != nil {
		return fmt.Errorf("turn off features of %s: %w", e.Name, err)
	}
	return nil
}
