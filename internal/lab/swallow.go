package lab

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// SwallowFromA loses what A transmits, without a sign at A: an eBPF program at B drops it, before
// anything but a packet socket sees it.
func (c *Cable) SwallowFromA(on bool) error { return c.swallow(&c.fromA, ebpf.AttachTCXIngress, on) }

// SwallowFromB loses what B transmits, without a sign at A.
func (c *Cable) SwallowFromB(on bool) error { return c.swallow(&c.fromB, ebpf.AttachTCXEgress, on) }

func (c *Cable) swallow(held *link.Link, at ebpf.AttachType, on bool) error {
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
	drop, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, tcDrop),
		asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("swallow on %s: load program: %w", c.B.Name, err)
	}
	defer drop.Close()
	err = h.Do(func() error {
		// Before a LAG's program, which would take the frame away.
		l, err := link.AttachTCX(link.TCXOptions{Interface: dev.Attrs().Index, Program: drop, Attach: at, Anchor: link.Head()})
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

// swallowNothing lets go of the programs.
func (c *Cable) swallowNothing() error {
	return errors.Join(c.SwallowFromA(false), c.SwallowFromB(false))
}
