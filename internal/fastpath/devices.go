// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"nicteam/modes/spread"
	"nicteam/team"
)

// How transmit knows, for each frame, whether the NIC of a member has a link: it reads the kernel's own structure of
// the NIC, at an address that findDevice has found. Where in the structure is what follows from the kernel's types,
// which it has with it (BTF).

// deviceLayout is where the kernel has what programs read of NICs. The zero value: they do not look.
type deviceLayout struct {
	skbDev, state uint32 // offsets of sk_buff.dev and of net_device.state
	// the ids of struct net_device and of bpf_rdonly_cast (Linux 6.2); device is 0: programs read by
	// bpf_probe_read_kernel, which takes longer
	device, cast uint32
}

// setOn sets the programs' constants.
func (l deviceLayout) setOn(spec *ebpf.CollectionSpec) error {
	for name, v := range map[string]uint32{
		"skb_dev_at": l.skbDev, "device_state_at": l.state, "device_type": l.device,
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if ins := &p.Instructions[i]; ins.IsKfuncCall() {
				*ins = l.call(*ins)
			}
		}
	}
	return nil
}

// call returns the call of bpf_rdonly_cast by its id, so that the library does not read all types to find it. Where it
// does not exist, no way leads to its calls, and the verifier removes them.
func (l deviceLayout) call(ins asm.Instruction) asm.Instruction {
	const noSuchHelper = 0xdedc0de
	if l.cast == 0 {
		return asm.BuiltinFunc(noSuchHelper).Call()
	}
	return asm.Instruction{OpCode: ins.OpCode, Src: asm.PseudoKfuncCall, Constant: int64(l.cast)}
}

// waysOf is waysToLook, or what a test has in its place.
type waysOf func() ([]deviceLayout, error)

// waysToLook returns how programs may look whether members have links, the best one first, and not to look at all last.
// If that is the only one, the error says why.
var waysToLook = sync.OnceValues(func() (ways []deviceLayout, err error) {
	err = readTypes(func(types *kernelTypes) (err error) {
		ways, err = waysIn(types)
		return err
	})
	if err != nil {
		return []deviceLayout{{}}, err
	}
	return ways, nil
})

func waysIn(types *kernelTypes) ([]deviceLayout, error) {
	l, err := findLayout(types)
	if err != nil {
		return nil, err
	}
	slow := l
	slow.device = 0
	return slices.Compact([]deviceLayout{l, slow, {cast: l.cast}}), nil
}

// loadSeeing loads the programs in the first way to look that the kernel allows. If that is none, blind says why.
func (k *kernel) loadSeeing(spec *ebpf.CollectionSpec, o *ebpf.CollectionOptions, ways waysOf) error {
	all, why := ways()
	for _, way := range all {
		if err := way.setOn(spec); err != nil {
			return err
		}
		err := spec.LoadAndAssign(&k.programObjects, o)
		if err == nil {
			if k.layout = way; way.state == 0 {
				k.blind = why
			}
			return nil
		}
		why = err
	}
	return why
}

// findLayout finds the layout in the kernel's types.
func findLayout(types *kernelTypes) (l deviceLayout, err error) {
	_, states, err := types.find(kindEnum, "netdev_state_t")
	if err != nil {
		return l, err
	}
	for _, known := range []struct {
		name string
		bit  uint32
	}{{"__LINK_STATE_START", stateStart}, {"__LINK_STATE_PRESENT", statePresent},
		{"__LINK_STATE_NOCARRIER", stateNoCarrier}} {
		if v, found := types.enumerator(states, known.name); !found || v >= 32 || 1<<v != known.bit {
			return l, fmt.Errorf("the kernel's %s is not the one that is known", known.name)
		}
	}
	if _, l.skbDev, err = offsetIn(types, "sk_buff", "dev"); err != nil {
		return l, err
	}
	if l.device, l.state, err = offsetIn(types, "net_device", "state"); err != nil {
		return l, err
	}
	if l.cast, _, err = types.find(kindFunc, "bpf_rdonly_cast"); err != nil {
		l.device = 0
	}
	return l, nil
}

// The bits of net_device.state.
const (
	stateStart = 1 << iota
	statePresent
	stateNoCarrier
)

// offsetIn returns the id of a struct, and the offset of a member of 8 octets.
func offsetIn(types *kernelTypes, name, member string) (id, offset uint32, err error) {
	id, at, err := types.find(kindStruct, name)
	if err != nil {
		return 0, 0, err
	}
	bits, of, found := types.member(at, member)
	switch {
	case !found:
		return 0, 0, fmt.Errorf("the kernel's %s has no %s", name, member)
	case !types.isWord(of) || bits == 0 || bits%64 != 0:
		return 0, 0, fmt.Errorf("the kernel's %s.%s is not the one that is known", name, member)
	}
	return id, bits / 8, nil
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

// device is the kernel's structure of a NIC.
type device struct {
	address uint64 // 0: not found
	state   uint32 // the bits above of net_device.state
}

// isUp reports whether the NIC is up and has a carrier: is_dead of bpf/standin.h says the same.
func (d device) isUp() bool { return d.state == stateStart|statePresent }

// findDevice finds a NIC of the thread's network namespace.
func (k *kernel) findDevice(index int) (d device) {
	if k.layout.state == 0 {
		return d
	}
	k.finding.Lock()
	defer k.finding.Unlock()
	k.control.Device = 0
	o := &ebpf.RunOptions{Data: make([]byte, 60), Context: skBuff{Ifindex: uint32(index)}}
	state, err := k.FindDevice.Run(o)
	if err != nil {
		return device{} // the NIC is gone
	}
	return device{k.control.Device, state}
}

// findDevice finds the NIC of a member.
func (p *Path) findDevice(k *kernel, l *team.Link) (d device) {
	find := func() error {
		d = k.findDevice(l.Index)
		return nil
	}
	if p.o.InNamespace == nil {
		_ = find()
	} else if err := p.o.InNamespace(find); err != nil {
		return device{}
	}
	return d
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

// Dead returns the members whose NICs programs see to have no link.
func (p *Path) Dead() spread.MemberSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.kernel.blind != nil {
		return 0
	}
	if !runBriefly(p.kernel.FindDead) {
		return 0
	}
	return spread.MemberSet(p.kernel.control.Dead)
}
