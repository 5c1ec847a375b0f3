// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Spread is how a LAG distributes frames over its ports.
type Spread uint8

const (
	// SpreadFlow keeps each flow on one port; of what is not IP, all between two MACs.
	SpreadFlow Spread = iota
	// SpreadFrames is round-robin.
	SpreadFrames
)

// lagSlots divides evenly by up to eight ports.
const lagSlots = 840

// LAG is a static LAG ("EtherChannel") of a switch's ports, as round-robin, xor and broadcast need: a frame received by
// one port never leaves by another, and a frame to the LAG leaves by exactly one port that has a carrier. LACPDUs reach
// the bridge like any other frame, which drops them.
//
//	bridge ── uplink (veth) ── eBPF: slot → port ──> port 1 … n
//	                      <── eBPF: redirect ────── port 1 … n
type LAG struct {
	sw     *Switch
	name   string
	uplink int // ifindex of the veth end that faces the ports
	slots  *ebpf.Map

	mu      sync.Mutex
	ports   []string
	held    map[string]bool
	ingress map[string]io.Closer
	closers []func() error
	live    []uint32 // ifindexes in the slots
}

// LAG creates a LAG of ports that are plugged in already.
func (s *Switch) LAG(name string, spread Spread, ports ...string) (*LAG, error) {
	g := &LAG{sw: s, name: name, ports: ports, held: map[string]bool{}, ingress: map[string]io.Closer{}}
	if err := g.build(spread); err != nil {
		g.Close()
		return nil, fmt.Errorf("group ports %v as %s: %w", ports, name, err)
	}
	s.deferClose(g.Close)
	return g, nil
}

func (g *LAG) build(spread Spread) (err error) {
	h := g.sw.Host
	outer, inner := g.name, g.name+".in"
	v := &netlink.Veth{LinkAttrs: linkAttrs(outer), PeerName: inner}
	v.MTU = 65535
	if err := h.handle.LinkAdd(v); err != nil {
		return fmt.Errorf("add uplink: %w", err)
	}
	g.closers = append(g.closers, func() error {
		l, err := h.handle.LinkByName(outer)
		if err != nil {
			return nil
		}
		return h.handle.LinkDel(l)
	})
	if err := h.Up(inner); err != nil {
		return err
	}
	l, err := h.handle.LinkByName(inner)
	if err != nil {
		return err
	}
	g.uplink = l.Attrs().Index

	g.slots, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: lagSlots})
	if err != nil {
		return fmt.Errorf("make slots: %w", err)
	}
	g.closers = append(g.closers, g.slots.Close)
	turn, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("make turn: %w", err)
	}
	defer turn.Close() // the program holds it
	out, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS,
		Instructions: lagOut(spread, g.slots.FD(), turn.FD())})
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer out.Close()
	attached, err := g.attach(g.uplink, out)
	if err != nil {
		return err
	}
	g.closers = append(g.closers, attached.Close)

	g.sw.mu.Lock()
	for _, p := range g.ports {
		g.sw.lags[p] = g
	}
	g.sw.mu.Unlock()
	for _, p := range g.ports {
		if err := g.join(p); err != nil {
			return err
		}
	}
	if err := g.sw.enslave(outer); err != nil {
		return err
	}
	for _, name := range append([]string{outer, inner}, g.ports...) {
		if err := h.awaitUp(name, settleTime); err != nil {
			return err
		}
	}
	g.watch()
	return g.refresh()
}

// Block stops transmission by a port, as an administrator does before moving its cable. The port still receives.
func (g *LAG) Block(port string, on bool) error {
	g.mu.Lock()
	g.held[port] = on
	g.mu.Unlock()
	return g.refresh()
}

// attach attaches the program to the ingress of a device of the switch.
func (g *LAG) attach(index int, p *ebpf.Program) (io.Closer, error) {
	l, err := g.sw.attachIngress(index, p)
	if err != nil {
		return nil, fmt.Errorf("attach program to device %d: %w", index, err)
	}
	return l, nil
}

// join takes a port out of the bridge and into the group.
func (g *LAG) join(port string) error {
	dev, err := g.sw.handle.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find port %s: %w", port, err)
	}
	if err := g.sw.handle.LinkSetNoMaster(dev); err != nil {
		return fmt.Errorf("take port %s out of the bridge: %w", port, err)
	}
	in, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: lagIn(g.uplink)})
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer in.Close()
	l, err := g.attach(dev.Attrs().Index, in)
	if err != nil {
		return err
	}
	g.mu.Lock()
	if old := g.ingress[port]; old != nil {
		old.Close()
	}
	g.ingress[port] = l
	g.mu.Unlock()
	return g.refresh()
}

// refresh distributes the slots over the ports that have a carrier.
func (g *LAG) refresh() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var live []uint32
	for _, p := range g.ports {
		dev, err := g.sw.handle.LinkByName(p)
		if err == nil && dev.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 && g.ingress[p] != nil && !g.held[p] {
			live = append(live, uint32(dev.Attrs().Index))
		}
	}
	if len(live) > 0 && slices.Equal(live, g.live) {
		return nil
	}
	g.live = append(live[:0:0], live...)
	for i := range uint32(lagSlots) {
		var port uint32
		if len(live) > 0 {
			port = live[int(i)%len(live)]
		}
		if err := g.slots.Put(i, port); err != nil {
			return fmt.Errorf("set slot %d of %s: %w", i, g.name, err)
		}
	}
	return nil
}

// watch refreshes every few milliseconds, as fast as switches are: the kernel may report a lost carrier up to a second
// later, but a reading shows it.
func (g *LAG) watch() {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = g.refresh() // fails only while a port is replugged
			case <-stop:
				return
			}
		}
	}()
	g.closers = append(g.closers, func() error { close(stop); <-ended; return nil })
}

// Close dissolves the group; its ports are in no bridge afterwards.
func (g *LAG) Close() error {
	g.sw.mu.Lock()
	for _, p := range g.ports {
		delete(g.sw.lags, p)
	}
	g.sw.mu.Unlock()
	var errs []error
	for i := len(g.closers) - 1; i >= 0; i-- {
		errs = append(errs, g.closers[i]())
	}
	g.closers = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.ingress {
		errs = append(errs, l.Close())
	}
	clear(g.ingress)
	return errors.Join(errs...)
}

const tcDrop = 2

func lagIn(uplink int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(uplink)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// lagOut redirects a frame to the port in slot hash or turn modulo lagSlots.
func lagOut(spread Spread, slots, turn int) asm.Instructions {
	key := asm.StoreMem(asm.R10, -4, asm.R0, asm.Word)
	var choose asm.Instructions
	if spread == SpreadFrames {
		add := asm.FetchAdd.Mem(asm.R0, asm.R1, asm.DWord, 0)
		// The library drops the operation of an atomic instruction (v0.22.0), and the result adds without fetching.
		add.Constant = int64(asm.FetchAdd >> 8)
		choose = asm.Instructions{
			asm.Mov.Imm(asm.R0, 0),
			key,
			asm.LoadMapPtr(asm.R1, turn),
			asm.Mov.Reg(asm.R2, asm.R10),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "drop"),
			asm.Mov.Imm(asm.R1, 1),
			add,
			asm.Mov.Reg32(asm.R0, asm.R1),
		}
	} else {
		choose = hashOfFlow()
	}
	return append(choose,
		asm.Mod.Imm32(asm.R0, lagSlots).WithSymbol("chosen"),
		key,
		asm.LoadMapPtr(asm.R1, slots),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "drop"),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcDrop).WithSymbol("drop"),
		asm.Return(),
	)
}

// hashOfFlow leaves the hash of a frame in R0: the kernel's for IP. For other frames that one is the same for all, and
// switches take the MACs.
func hashOfFlow() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(12, asm.Half),
		asm.JEq.Imm(asm.R0, unix.ETH_P_IP, "flow"),
		asm.JEq.Imm(asm.R0, unix.ETH_P_IPV6, "flow"),
		asm.LoadAbs(2, asm.Word), // the last four bytes of each MAC
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadAbs(8, asm.Word),
		asm.Xor.Reg32(asm.R0, asm.R7),
		asm.Mul.Imm32(asm.R0, 0x1e3779b1),
		asm.RSh.Imm32(asm.R0, 16),
		asm.Ja.Label("chosen"),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("flow"),
		asm.FnGetHashRecalc.Call(),
	}
}
