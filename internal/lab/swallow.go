// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// SwallowFromA drops what A transmits, without a sign at A: an eBPF program at B drops it before anything sees it,
// packet sockets included.
func (c *Cable) SwallowFromA(on bool) error {
	// Generic XDP leaves the NIC's offloads, and so A's, unchanged.
	return c.swallow(&c.fromA, ebpf.XDP, xdpDrop, on, func(index int, drop *ebpf.Program) (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Interface: index, Program: drop, Flags: link.XDPGenericMode})
	})
}

// SwallowFromB drops what B transmits, without a sign at A. B's own packet sockets may still see it.
func (c *Cable) SwallowFromB(on bool) error {
	return c.swallow(&c.fromB, ebpf.SchedCLS, tcDrop, on, func(index int, drop *ebpf.Program) (link.Link, error) {
		return link.AttachTCX(link.TCXOptions{Interface: index, Program: drop, Attach: ebpf.AttachTCXEgress,
			Anchor: link.Head()})
	})
}

const xdpDrop = 1

func (c *Cable) swallow(held *link.Link, kind ebpf.ProgramType, verdict int32, on bool,
	attach func(index int, drop *ebpf.Program) (link.Link, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on == (*held != nil) {
		return nil
	}
	if !on {
		err := (*held).Close()
		*held = nil
		return err
	}
	h := c.B.Node.base()
	dev, err := h.handle.LinkByName(c.B.Name)
	if err != nil {
		return fmt.Errorf("swallow on %s: %w", c.B.Name, err)
	}
	drop, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, verdict),
		asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("swallow on %s: load program: %w", c.B.Name, err)
	}
	defer drop.Close()
	err = h.Do(func() error {
		l, err := attach(dev.Attrs().Index, drop)
		if err == nil {
			*held = l
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("swallow on %s: attach program: %w", c.B.Name, err)
	}
	return nil
}

// stopSwallowing detaches the programs.
func (c *Cable) stopSwallowing() error {
	return errors.Join(c.SwallowFromA(false), c.SwallowFromB(false))
}
