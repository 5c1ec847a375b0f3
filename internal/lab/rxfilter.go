// SPDX-License-Identifier: MIT

package lab

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -no-global-types -cflags "-O2 -g -Wall -Werror -mcpu=v3" rxfilter bpf/rxfilter.c -- -I/usr/include/x86_64-linux-gnu

// rxFilter is the receive filter of a device: an eBPF program at the far end of its line, so that a filtered frame
// never reaches the device's host. The program reads the kernel's lists for each frame, so that an address counts as
// soon as the call that added it returns.
//
//	far end transmits ── tc egress of the veth, or the TAP's filter ── unless filtered: device
//
// The host cannot see the filter, super-frames stay whole, and packet sockets receive what the NIC accepts.
type rxFilter struct {
	program *ebpf.Program
	shared  *ebpf.Variable

	mu    sync.Mutex
	rules rxRules
}

// rxRules is struct rules of bpf/rxfilter.c.
type rxRules struct {
	Device    uint64 // address of the net_device, 0 for none
	Slots     uint32
	Overflows bool
	OneMAC    bool
	NoPromisc bool
	VLANs     bool
	VIDs      [4096 / 64]uint64
}

// attachPoint is where a filter stands.
type attachPoint string

const (
	rxCable attachPoint = rxfilterProgRxCable
	rxWire  attachPoint = rxfilterProgRxWire
)

var (
	rxSpec = sync.OnceValues(loadRxfilter)
	// kernelTypes is the kernel's BTF, which takes longer to read than all else that makes a host and its lines.
	kernelTypes = btf.NewCache()
)

// newRxFilter loads a filter. It accepts nothing until setDevice.
func newRxFilter(kind attachPoint, hw Hardware) (*rxFilter, error) {
	spec, err := rxSpec()
	if err != nil {
		return nil, err
	}
	spec = spec.Copy()
	for name := range spec.Programs {
		if name != string(kind) {
			delete(spec.Programs, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: kernelTypes})
	if err != nil {
		return nil, fmt.Errorf("load receive filter: %w", err)
	}
	defer c.Close()
	f := &rxFilter{program: c.Programs[string(kind)], shared: c.Variables[rxfilterVarRules], rules: hw.rules()}
	delete(c.Programs, string(kind))
	return f, f.change(func(*rxRules) {})
}

// change edits the rules. They are in force when it returns.
func (f *rxFilter) change(by func(*rxRules)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	by(&f.rules)
	if err := f.shared.Set(&f.rules); err != nil {
		return fmt.Errorf("set receive filter: %w", err)
	}
	return nil
}

// setDevice sets the device whose lists the filter reads.
func (f *rxFilter) setDevice(h *Host, name string) error {
	address, err := netDevice(h, name)
	if err != nil {
		return err
	}
	return f.change(func(r *rxRules) { r.Device = address })
}

// Close closes the program's descriptor. It stays attached.
func (f *rxFilter) Close() error { return f.program.Close() }

// finder is the program that finds a net_device, one at a time.
var finder struct {
	sync.Mutex
	*ebpf.Collection
}

// netDevice returns the address of a device's net_device in the kernel. It is valid while the device exists.
func netDevice(h *Host, name string) (address uint64, err error) {
	l, err := h.handle.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("find %s in %s: %w", name, h.Name, err)
	}
	finder.Lock()
	defer finder.Unlock()
	if finder.Collection == nil {
		if finder.Collection, err = loadFinder(); err != nil {
			return 0, fmt.Errorf("find %s in the kernel: %w", name, err)
		}
	}
	if err := finder.Variables[rxfilterVarWanted].Set(uint32(l.Attrs().Index)); err != nil {
		return 0, err
	}
	err = h.Do(func() error {
		_, err := finder.Programs[rxfilterProgFind].Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find %s in the kernel: %w", name, err)
	}
	if err := finder.Variables[rxfilterVarFound].Get(&address); err != nil {
		return 0, err
	}
	if address == 0 {
		return 0, fmt.Errorf("find %s in the kernel: no such net_device in %s", name, h.Name)
	}
	return address, nil
}

func loadFinder() (*ebpf.Collection, error) {
	spec, err := rxSpec()
	if err != nil {
		return nil, err
	}
	spec = spec.Copy()
	delete(spec.Programs, string(rxCable))
	delete(spec.Programs, string(rxWire))
	return ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: kernelTypes})
}
