// SPDX-License-Identifier: MIT

package frame

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := MAC(rapid.Uint64Range(1, 1<<48-1).Draw(t, "mac"))
		b := make([]byte, 8)
		m.Put(b, 1)
		if got := MACAt(b, 1); got != m {
			t.Errorf("put %v, read %v", m, got)
		}
		if got, err := ParseMAC(m.String()); err != nil || got != m {
			t.Errorf("%v parsed as %v, %v", m, got, err)
		}
		if got := MACFrom(m.HardwareAddr()); got != m {
			t.Errorf("%v came back as %v", m, got)
		}
		var u MAC
		text, _ := m.MarshalText()
		if err := u.UnmarshalText(text); err != nil || u != m {
			t.Errorf("%s came back as %v, %v", text, u, err)
		}
	})
	if !Broadcast.Multicast() || !MAC(0x01005e000016).Multicast() || MAC(0x020000000001).Multicast() {
		t.Error("group bit misread")
	}
	for _, s := range []string{"", "02:00:00:00:00", "02:00:00:00:00:01:02:03", "x"} {
		if m, err := ParseMAC(s); err == nil {
			t.Errorf("%q parsed as %v", s, m)
		}
	}
}
