// SPDX-License-Identifier: MIT

package ssh

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParentOf(t *testing.T) {
	for _, tt := range []struct {
		stat string
		pid  int
		ok   bool
	}{
		{"42 (bash) S 41 42 42 0", 41, true}, {"42 (a) S 7 (b) R) S 9 42", 9, true}, {"42 (init) S 0 1", 0, true},
		{"", 0, false}, {"42 (bash)", 0, false}, {"42 (bash) S", 0, false}, {"42 (bash) S x", 0, false},
		{"42 (bash) S -3", -3, false},
	} {
		if pid, ok := parentOf(tt.stat); ok != tt.ok || ok && pid != tt.pid {
			t.Errorf("parentOf(%q) = %d, %v", tt.stat, pid, ok)
		}
	}
}

// message is a connection 10.9.0.2:40000 → 10.9.0.1:22 with a TCPInfo.
func message() []byte {
	b := make([]byte, messageSize)
	b[0], b[1] = unix.AF_INET, stateEstablished
	binary.BigEndian.PutUint16(b[4:], 22)
	binary.BigEndian.PutUint16(b[6:], 40000)
	copy(b[8:], []byte{10, 9, 0, 1})
	copy(b[24:], []byte{10, 9, 0, 2})
	binary.NativeEndian.PutUint32(b[68:], 77)
	info := make([]byte, 144)
	info[2] = 3
	binary.NativeEndian.PutUint32(info[24:], 5)
	binary.NativeEndian.PutUint64(info[120:], 1<<40)
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(info)))
	b = binary.NativeEndian.AppendUint16(b, tcpInfo)
	return append(b, info...)
}

func TestParseSocket(t *testing.T) {
	s, ok := parseSocket(message())
	if !ok || s.local.String() != "10.9.0.1:22" || s.remote.String() != "10.9.0.2:40000" || s.inode != 77 ||
		s.info.Unacked != 5 || s.info.Retransmits != 3 || s.info.BytesAcked != 1<<40 {
		t.Errorf("%+v, %v", s, ok)
	}
	short := message()
	if s, ok := parseSocket(short[:messageSize]); !ok || s.info != (TCPInfo{}) {
		t.Errorf("without attributes: %+v, %v", s, ok)
	}
	for _, n := range []int{0, 1, messageSize - 1, len(short) - 1} {
		if _, ok := parseSocket(short[:n]); ok {
			t.Errorf("%d bytes are a message", n)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add(message())
	f.Fuzz(func(t *testing.T, b []byte) {
		was := slices.Clone(b)
		s, ok := parseSocket(b)
		if !slices.Equal(b, was) {
			t.Error("input changed")
		}
		if ok && (!s.local.Addr().IsValid() || !s.remote.Addr().IsValid()) {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzParseEnv(f *testing.F) {
	f.Add("10.9.0.2 40000 10.9.0.1 22")
	f.Add("fe80::2%eth0 40000 fe80::1%eth0 22")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseEnv(text)
		if err != nil || c.IsZero() {
			return
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Errorf("%q is %v, and that is %v, %v", text, c, again, err)
		}
	})
}
