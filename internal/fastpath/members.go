// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// setMember makes a NIC a member for the programs. They look into control.joined first, which has most members: of
// several whose ifindex has the same place, the last. It never says anything else than the map, whenever this process
// ends.
func (k *kernel) setMember(index, id int) error {
	k.clearJoined(index)
	if err := k.Members.Put(uint32(index), uint32(id)); err != nil {
		return fmt.Errorf("note member: %w", err)
	}
	atomic.StoreUint64(k.joined(index), uint64(index)<<8|uint64(id))
	return nil
}

// dropMember makes a NIC no member.
func (k *kernel) dropMember(index int) error {
	k.clearJoined(index)
	if err := k.Members.Delete(uint32(index)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("remove member: %w", err)
	}
	return nil
}

func (k *kernel) joined(index int) *uint64 { return &k.control.Joined[index%len(k.control.Joined)] }

func (k *kernel) clearJoined(index int) {
	if at := k.joined(index); atomic.LoadUint64(at)>>8 == uint64(index) {
		atomic.StoreUint64(at, 0)
	}
}
