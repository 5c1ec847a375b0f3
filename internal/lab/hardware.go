// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/safchain/ethtool"
)

// Hardware describes a NIC. The zero value filters what it receives, as a real NIC does and veth and TAP do not, for
// any number of addresses, and has no weakness.
type Hardware struct {
	// NoFilter passes every frame of the wire to the host. The fields below that limit the filter have no effect.
	NoFilter bool
	// Slots is the number of addresses besides its own that the filter holds, unicast before multicast. 0: no limit.
	Slots int
	// Overflow is the reaction to more addresses than Slots.
	Overflow Overflow
	// OneMAC is a virtual function that may use its own MAC only: further unicast addresses are ignored.
	OneMAC bool
	// NoPromisc ignores promiscuity without an error, as virtual functions do that are not trusted.
	NoPromisc bool
	// FilterVLANs drops tagged frames, except VID 0 and those of VLANs, unless the NIC is promiscuous.
	FilterVLANs bool
	VLANs       []uint16

	// NoSegmentation makes the host segment super-frames before the NIC transmits them.
	NoSegmentation bool
	// NoCoalescing delivers received frames one by one, never as super-frames.
	NoCoalescing bool
	// NoTagInsertion makes the host write VLAN tags into the frames that the NIC transmits. The kernel always strips
	// the outer tag of received frames before packet sockets see them.
	NoTagInsertion bool

	// The fields below need a Wire. NewCable refuses them.

	// Reset is how long the carrier is gone after a change of MTU or MAC.
	Reset time.Duration
	// SpeedUnknown is how long ethtool shows no speed after the carrier came up.
	SpeedUnknown time.Duration
	// LosesFirst is how long frames are lost in both directions after the carrier came up. NIC.Lost counts them.
	LosesFirst time.Duration
	// LateCarrier is how long after Cut or Mend the carrier changes; no frame passes meanwhile. Copper takes
	// 350 to 750 ms.
	LateCarrier time.Duration
}

// Overflow is what a NIC does with more addresses than it has slots.
type Overflow uint8

const (
	// TakesAll receives all frames of a kind, as most drivers do: every multicast frame, or every frame where
	// the unicast addresses alone are too many.
	TakesAll Overflow = iota
	// LosesRest filters for the addresses that came first and drops frames for the rest without a sign.
	LosesRest
)

// errNeedsWire says that a veth pair cannot have such hardware.
var errNeedsWire = errors.New("the kernel owns the carrier of a veth pair: " +
	"Reset, SpeedUnknown, LosesFirst and LateCarrier need a Wire")

// checkVeth returns an error for hardware that only a Wire can have.
func (hw Hardware) checkVeth() error {
	if hw.Reset|hw.SpeedUnknown|hw.LosesFirst|hw.LateCarrier != 0 {
		return errNeedsWire
	}
	return nil
}

func (hw Hardware) rules() rxRules {
	r := rxRules{
		Slots: math.MaxUint32, Overflows: hw.Overflow == TakesAll,
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

// offloads turns off the features that hw, the NIC of a device, lacks, and the super-frames that far, the NIC at the
// other end of the line, does not deliver.
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
