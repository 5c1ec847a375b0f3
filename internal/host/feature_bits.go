// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// featureState is what the kernel tells of one feature of a NIC.
type featureState struct{ available, active, neverChanged bool }

// ethtoolGetFeatures is struct ethtool_gfeatures with room for 1024 features; Linux 6.18 has 64.
type ethtoolGetFeatures struct {
	command, size uint32
	blocks        [32]struct{ available, requested, active, neverChanged uint32 }
}

const ethtoolGFeatures = 0x3a // ETHTOOL_GFEATURES

// featureStates reads the features of a NIC, by name.
func (h *Host) featureStates(nic string) (map[string]featureState, error) {
	names, err := h.featureNames(nic)
	if err != nil {
		return nil, err
	}
	var get ethtoolGetFeatures
	get.command, get.size = ethtoolGFeatures, uint32(len(get.blocks))
	req := ifreq{data: unsafe.Pointer(&get)}
	copy(req.name[:unix.IFNAMSIZ-1], nic)
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(h.probe.fd.Load()), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if e != 0 {
		return nil, fmt.Errorf("read features of %s: %w", nic, e)
	}
	list := make(map[string]featureState, len(names))
	for name, i := range names {
		if int(i/32) < len(get.blocks) {
			b, bit := &get.blocks[i/32], uint32(1)<<(i%32)
			list[name] = featureState{b.available&bit != 0, b.active&bit != 0, b.neverChanged&bit != 0}
		}
	}
	return list, nil
}

// featureNames returns the numbers of all features, by name. They are the kernel's, the same for all NICs
// (netdev_features_strings), and package ethtool takes a megabyte to read them.
func (h *Host) featureNames(nic string) (map[string]uint, error) {
	if known := h.namesOfFeatures.Load(); known != nil {
		return *known, nil
	}
	names, err := h.tool.FeatureNames(nic)
	if err == nil && len(names) > 0 {
		h.namesOfFeatures.Store(&names)
	}
	return names, err
}
