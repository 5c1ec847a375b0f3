// SPDX-License-Identifier: MIT

package fastpath

import (
	"testing"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// What receive lets pass it isolates as the program does whose place it takes.
func TestReceiveIsolates(t *testing.T) {
	const actNext, actDrop = -1, 2
	labtest.Root(t)
	k, err := load()
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, k.close()) })
	for _, c := range []struct {
		name string
		kind uint16
		want int32
	}{
		{"IPv4", frame.TypeIPv4, actDrop}, {"IPv6", frame.TypeIPv6, actDrop}, {"VLAN", frame.TypeVLAN, actDrop},
		{"ARP", frame.TypeARP, actNext}, {"EAPOL", 0x888e, actNext}, {"LLDP", 0x88cc, actNext},
	} {
		for _, member := range []bool{false, true} {
			if member {
				labtest.Must(t, k.setMember(loopbackIndex, 0)) // its gate is slow
			}
			in := make([]byte, 60)
			in[12], in[13] = byte(c.kind>>8), byte(c.kind)
			got, err := k.Receive.Run(&ebpf.RunOptions{Data: in})
			labtest.Must(t, err)
			if int32(got) != c.want {
				t.Errorf("%s, a member %v: %d, want %d", c.name, member, int32(got), c.want)
			}
		}
		labtest.Must(t, k.dropMember(loopbackIndex))
	}
}
