// SPDX-License-Identifier: MIT

package lab

import (
	"net"
	"testing"

	"github.com/cilium/ebpf"
)

// BenchmarkReceiveFilter is what a filter takes for a frame to a device's own address, to all, to a group, and to
// somebody else.
func BenchmarkReceiveFilter(b *testing.B) {
	if !Inside() {
		b.Skip("needs root")
	}
	h, err := NewHost("h")
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	far, err := NewHost("far")
	if err != nil {
		b.Fatal(err)
	}
	defer far.Close()
	own := net.HardwareAddr{2, 0, 0, 0, 0, 0xa}
	c, err := NewCable(h, "eth0", far, "eth0", CableOptions{MACA: own})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, to := range []struct {
		name string
		dst  net.HardwareAddr
	}{
		{"own", own},
		{"broadcast", net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"a group of few", net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}},
		{"another", net.HardwareAddr{2, 0, 0, 0, 0, 0xb}},
	} {
		b.Run(to.name, func(b *testing.B) {
			frame := append(append([]byte{}, to.dst...), make([]byte, 60)...)
			if _, err := c.rxA.program.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(b.N)}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
