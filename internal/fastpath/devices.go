// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"nicteam/modes/spread"
	"nicteam/team"
)

// How transmit knows, for each frame, whether the NIC of a member has a link: it reads the kernel's own structure of
// the NIC, at an address that findDevice has found. Where in the structure is what follows from the kernel's types,
// which it has with it (BTF).

// deviceLayout is where the kernel has what programs read of NICs. The zero value: they do not look.
type deviceLayout struct {
	skbDev, state uint32 // offsets of sk_buff.dev and of net_device.state
	// the id of struct net_device, for bpf_rdonly_cast (Linux 6.2); 0: programs read by bpf_probe_read_kernel, which
	// takes longer
	device btf.TypeID
}

// setOn sets the programs' constants.
func (l deviceLayout) setOn(spec *ebpf.CollectionSpec) error {
	for name, v := range map[string]uint32{
		"skb_dev_at": l.skbDev, "device_state_at": l.state, "device_type": uint32(l.device),
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// waysToLook are how programs may look whether members have links, the best one first, and the last one not at all.
func waysToLook(types *btf.Spec) ([]deviceLayout, error) {
	l, err := findLayout(types)
	if err != nil {
		return []deviceLayout{{}}, err
	}
	slow := l
	slow.device = 0
	return slices.Compact([]deviceLayout{l, slow, {}}), nil
}

// loadSeeing loads the programs in the first way to look that the kernel allows. If that is none, blind says why.
func (k *kernel) loadSeeing(spec *ebpf.CollectionSpec, o *ebpf.CollectionOptions, ways waysOf) error {
	o.Cache = btf.NewCache()
	all, why := []deviceLayout{{}}, errNoTypes
	if types, err := o.Cache.Kernel(); err == nil {
		all, why = ways(types)
	} else if !errors.Is(err, ebpf.ErrNotSupported) {
		why = fmt.Errorf("read the kernel's types: %w", err)
	}
	for _, way := range all {
		if err := way.setOn(spec); err != nil {
			return err
		}
		err := spec.LoadAndAssign(&k.programObjects, o)
		if err == nil {
			if k.layout = way; way == (deviceLayout{}) {
				k.blind = why
			}
			return nil
		}
		why = err
	}
	return why
}

// waysOf is waysToLook, or what a test has in its place.
type waysOf func(types *btf.Spec) ([]deviceLayout, error)

var errNoTypes = errors.New("the kernel's types (BTF) are not found")

// findLayout finds the layout in the kernel's types.
func findLayout(types *btf.Spec) (l deviceLayout, err error) {
	var skb, device *btf.Struct
	var states *btf.Enum
	for name, to := range map[string]any{"sk_buff": &skb, "net_device": &device, "netdev_state_t": &states} {
		if err := types.TypeByName(name, to); err != nil {
			return l, fmt.Errorf("the kernel's types have no %s: %w", name, err)
		}
	}
	for _, want := range []struct {
		name string
		bit  uint64
	}{{"__LINK_STATE_START", stateStart}, {"__LINK_STATE_PRESENT", statePresent},
		{"__LINK_STATE_NOCARRIER", stateNoCarrier}} {
		if !hasBit(states, want.name, want.bit) {
			return l, fmt.Errorf("the kernel's %s is not the one that is known", want.name)
		}
	}
	if l.skbDev, err = offsetOf(skb, "dev"); err != nil {
		return l, err
	}
	if l.state, err = offsetOf(device, "state"); err != nil {
		return l, err
	}
	if types.TypeByName("bpf_rdonly_cast", new(*btf.Func)) == nil {
		l.device, err = types.TypeID(device)
	}
	return l, err
}

// The bits of net_device.state.
const (
	stateStart = 1 << iota
	statePresent
	stateNoCarrier
)

// hasBit reports whether an enumerator is the number of a bit.
func hasBit(e *btf.Enum, name string, bit uint64) bool {
	for _, v := range e.Values {
		if v.Name == name {
			return v.Value < 64 && 1<<v.Value == bit
		}
	}
	return false
}

// offsetOf returns the offset of a member of 8 octets, which may be one of a struct or union without a name.
func offsetOf(s *btf.Struct, name string) (uint32, error) {
	m, at, found := findMember(s.Members, name)
	if !found {
		return 0, fmt.Errorf("the kernel's %s has no %s", s.Name, name)
	}
	if size, err := btf.Sizeof(m.Type); err != nil || size != 8 || m.BitfieldSize != 0 || at%64 != 0 || at == 0 {
		return 0, fmt.Errorf("the kernel's %s.%s is not the one that is known", s.Name, name)
	}
	return at / 8, nil
}

// findMember finds a member, and its offset in bits.
func findMember(members []btf.Member, name string) (m btf.Member, at uint32, found bool) {
	for _, m := range members {
		if m.Name == name {
			return m, uint32(m.Offset), true
		}
		if m.Name != "" {
			continue
		}
		var inside []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inside = t.Members
		case *btf.Union:
			inside = t.Members
		}
		if in, at, found := findMember(inside, name); found {
			return in, uint32(m.Offset) + at, true
		}
	}
	return btf.Member{}, 0, false
}

// skBuff is struct __sk_buff as test runs take it.
type skBuff struct {
	_                [10]uint32
	Ifindex          uint32
	_                [29]uint32
	WireLen, GSOSegs uint32
	_                [2]uint32
	GSOSize          uint32
	_                [3]uint32
}

// findDevice returns the address of a NIC of the thread's network namespace, 0 if it is gone.
func (k *kernel) findDevice(index int) uint64 {
	if k.layout.state == 0 {
		return 0
	}
	k.control.Device = 0
	o := &ebpf.RunOptions{Data: make([]byte, 60), Context: skBuff{Ifindex: uint32(index)}}
	if _, err := k.FindDevice.Run(o); err != nil {
		return 0
	}
	return k.control.Device
}

// findDevice finds the NIC of a member. The caller holds changing.
func (p *Path) findDevice(k *kernel, l *team.Link) (device uint64) {
	find := func() error {
		device = k.findDevice(l.Index)
		return nil
	}
	if p.o.InNamespace == nil {
		_ = find()
	} else if err := p.o.InNamespace(find); err != nil {
		return 0
	}
	return device
}

// SeesLosses reports whether programs see by themselves that a member has no link, give its frames to others, and
// report it to the control loop.
func (p *Path) SeesLosses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.kernel.blind != nil || p.plan.Patient {
		return false
	}
	for id, l := range p.links {
		if l != nil && p.kernel.devices[id] == 0 {
			return false
		}
	}
	return true
}

// Blind returns why the programs do not look whether members have links, nil if they do.
func (p *Path) Blind() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil {
		return nil
	}
	return p.kernel.blind
}

// Dead returns the members of the Plan in force whose NICs programs see to have no link.
func (p *Path) Dead() spread.MemberSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.kernel.blind != nil {
		return 0
	}
	if _, err := p.kernel.FindDead.Run(&ebpf.RunOptions{Data: make([]byte, 60)}); err != nil {
		return 0
	}
	return spread.MemberSet(p.kernel.control.Dead)
}
