// SPDX-License-Identifier: MIT

package lacp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"nicteam/internal/frame"

	"github.com/google/go-cmp/cmp"
)

const portMAC frame.MAC = 0x020000000a01

// octets are those that s says in hex, spaces being for who reads.
func octets(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// field is where something stands in a frame.
type field struct {
	name string
	at   int
	want string // in hex
}

// checkFields compares a frame with what the standard has at each offset, and sees that the fields leave no octet out.
func checkFields(t *testing.T, b []byte, fields []field) {
	t.Helper()
	at := 0
	for _, f := range fields {
		want := octets(t, f.want)
		if f.at != at {
			t.Fatalf("%s is at %d, the field before it ends at %d", f.name, f.at, at)
		}
		at += len(want)
		if at > len(b) {
			t.Fatalf("%s at %d is behind the end of %d octets", f.name, f.at, len(b))
		}
		if got := b[f.at:at]; !bytes.Equal(got, want) {
			t.Errorf("%s at %d: %x, want %x", f.name, f.at, got, want)
		}
	}
	if at != len(b) {
		t.Errorf("%d octets, want %d", len(b), at)
	}
}

func goldenPDU() PDU {
	return PDU{
		Version: 1,
		Actor: Info{System: SystemID{Priority: 0x1234, MAC: 0x020000000001}, Key: 9, PortPriority: 255, Port: 0x0102,
			State: 0x3f},
		Partner: Info{System: SystemID{Priority: 0x8000, MAC: 0x02aabbccddee}, Key: 0xfedc, PortPriority: 0x8001,
			Port: 0x0a0b, State: 0xc5},
	}
}

func TestPDUHasItsFieldsWhereTheStandardHasThem(t *testing.T) {
	p := goldenPDU()
	p.MaxDelay = 0x1122
	b := p.Frame(portMAC)
	checkFields(t, b, []field{
		{"destination", 0, "0180c2000002"}, {"source", 6, "020000000a01"}, {"ethertype", 12, "8809"},
		{"subtype", 14, "01"}, {"version", 15, "01"},
		{"actor type", 16, "01"}, {"actor length", 17, "14"}, {"actor system priority", 18, "1234"},
		{"actor system", 20, "020000000001"},
		{"actor key", 26, "0009"}, {"actor port priority", 28, "00ff"}, {"actor port", 30, "0102"},
		{"actor state", 32, "3f"}, {"reserved", 33, "000000"},
		{"partner type", 36, "02"}, {"partner length", 37, "14"}, {"partner system priority", 38, "8000"},
		{"partner system", 40, "02aabbccddee"},
		{"partner key", 46, "fedc"}, {"partner port priority", 48, "8001"}, {"partner port", 50, "0a0b"},
		{"partner state", 52, "c5"}, {"reserved", 53, "000000"},
		{"collector type", 56, "03"}, {"collector length", 57, "10"}, {"collector max delay", 58, "1122"},
		{"reserved", 60, strings.Repeat("00", 12)},
		{"terminator type", 72, "00"}, {"terminator length", 73, "00"}, {"reserved", 74, strings.Repeat("00", 50)},
	})
	got, err := ParsePDU(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMarkerHasItsFieldsWhereTheStandardHasThem(t *testing.T) {
	for _, c := range []struct {
		name         string
		m            Marker
		kind, length string
	}{
		{"question", Marker{Port: 0x0102, System: 0x020000000001, Transaction: 0xdeadbeef}, "01", "10"},
		{"answer", Marker{Response: true, Port: 0x0102, System: 0x020000000001, Transaction: 0xdeadbeef}, "02", "10"},
		{"answer to who says 22", Marker{Response: true, Port: 0x0102, System: 0x020000000001, Transaction: 0xdeadbeef,
			length: 22}, "02", "16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.m.Frame(portMAC)
			checkFields(t, b, []field{
				{"destination", 0, "0180c2000002"}, {"source", 6, "020000000a01"}, {"ethertype", 12, "8809"},
				{"subtype", 14, "02"}, {"version", 15, "01"},
				{"type", 16, c.kind}, {"length", 17, c.length}, {"port", 18, "0102"}, {"system", 20, "020000000001"},
				{"transaction", 26, "deadbeef"}, {"pad", 30, "0000"},
				{"terminator type", 32, "00"}, {"terminator length", 33, "00"},
				{"reserved", 34, strings.Repeat("00", 90)},
			})
			got, err := ParseMarker(b)
			if err != nil {
				t.Fatal(err)
			}
			if c.m.length == 0 {
				c.m.length = markerLen
			}
			if got != c.m {
				t.Errorf("%+v, want %+v", got, c.m)
			}
		})
	}
}

// patched returns b with octets from an offset on replaced.
func patched(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

func TestPDUOfALaterVersionIsUnderstood(t *testing.T) {
	want := goldenPDU()
	for version := range 256 {
		b := patched(want.Frame(portMAC), atVersion, byte(version))
		b = append(patched(b, atEnd, 4, 6, 1, 2, 3, 4, 5, 6, 10, 3), 9, 9) // with fields that version 1 does not have
		got, err := ParsePDU(b)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		want.Version = byte(version)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("version %d, -want +got:\n%s", version, diff)
		}
	}
	m := Marker{Port: 3, System: 0x020000000001, Transaction: 7}
	if _, err := ParseMarker(patched(m.Frame(portMAC), atVersion, 9)); err != nil {
		t.Errorf("marker: %v", err)
	}
}

// Clause 6.4.12: a receiver must not look at the types of the fields nor at what is reserved.
func TestReservedOctetsAndTypesAreIgnored(t *testing.T) {
	want := goldenPDU()
	clean := want.Frame(portMAC)
	ignored := []int{16, 33, 34, 35, 36, 53, 54, 55, 56}
	for at := 60; at < 72; at++ {
		ignored = append(ignored, at)
	}
	for at := 74; at < FrameLen; at++ {
		ignored = append(ignored, at)
	}
	for _, at := range ignored {
		got, err := ParsePDU(patched(clean, at, 0xa5))
		if err != nil || got != want {
			t.Errorf("octet %d: %+v %v", at, got, err)
		}
	}
	m := Marker{Port: 3, System: 0x020000000001, Transaction: 7, length: markerLen}
	for at := 30; at < FrameLen; at++ {
		if at == 33 {
			continue // the terminator's length
		}
		if got, err := ParseMarker(patched(m.Frame(portMAC), at, 0xa5)); err != nil || got != m {
			t.Errorf("octet %d of a marker: %+v %v", at, got, err)
		}
	}
}

func TestWrongLengthsAreRefused(t *testing.T) {
	p, m := goldenPDU(), Marker{Port: 3, System: 0x020000000001}
	for length := range 256 {
		for _, c := range []struct {
			name  string
			at    int
			right []int
			err   func([]byte) error
			from  []byte
		}{
			{"actor", 17, []int{20}, pduError, p.Frame(portMAC)},
			{"partner", 37, []int{20}, pduError, p.Frame(portMAC)},
			{"collector", 57, []int{16}, pduError, p.Frame(portMAC)},
			{"terminator", 73, []int{0}, pduError, p.Frame(portMAC)},
			{"marker", 17, []int{16, 22}, markerError, m.Frame(portMAC)},
			{"marker's terminator", 33, []int{0}, markerError, m.Frame(portMAC)},
		} {
			right := false
			for _, r := range c.right {
				right = right || r == length
			}
			if err := c.err(patched(c.from, c.at, byte(length))); errors.Is(err, ErrMalformed) == right ||
				(err == nil) != right {
				t.Errorf("%s of length %d: %v", c.name, length, err)
			}
		}
	}
}

func pduError(b []byte) error    { _, err := ParsePDU(b); return err }
func markerError(b []byte) error { _, err := ParseMarker(b); return err }

func TestWhatIsCutShortIsRefused(t *testing.T) {
	p, m := goldenPDU(), Marker{Port: 3, System: 0x020000000001}
	for n := range FrameLen {
		// Capacity ends where the frame does, so that reading on would panic.
		if err := pduError(p.Frame(portMAC)[:n:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("a LACPDU of %d octets: %v", n, err)
		}
		if err := markerError(m.Frame(portMAC)[:n:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("a marker of %d octets: %v", n, err)
		}
	}
	if err := pduError(append(p.Frame(portMAC), make([]byte, 64)...)); err != nil {
		t.Errorf("padded: %v", err)
	}
}

func TestOtherFramesAreRefused(t *testing.T) {
	p, m := goldenPDU(), Marker{Port: 3, System: 0x020000000001}
	for _, c := range []struct {
		name string
		b    []byte
		err  func([]byte) error
	}{
		{"to another group", patched(p.Frame(portMAC), 5, 3), pduError},
		{"of another ethertype", patched(p.Frame(portMAC), 13, 8), pduError},
		{"OAM", patched(p.Frame(portMAC), 14, 3), pduError},
		{"a marker", m.Frame(portMAC), pduError},
		{"a marker to another group", patched(m.Frame(portMAC), 0, 0xff), markerError},
		{"a LACPDU", p.Frame(portMAC), markerError},
		{"a marker that neither asks nor answers", patched(m.Frame(portMAC), 16, 3), markerError},
		{"a marker of type 0", patched(m.Frame(portMAC), 16, 0), markerError},
	} {
		if err := c.err(c.b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestStateNames(t *testing.T) {
	for _, c := range []struct {
		s    State
		want string
	}{
		{0, ""},
		{0x3f, "activity timeout aggregation synchronization collecting distributing"},
		{0x3d, "activity aggregation synchronization collecting distributing"},
		{0xc7, "activity timeout aggregation defaulted expired"},
	} {
		if got := strings.Join(c.s.Names(), " "); got != c.want {
			t.Errorf("%#x: %q, want %q", uint8(c.s), got, c.want)
		}
	}
	if !State(0x3f).Has(Collecting|Distributing) || State(0x1f).Has(Collecting|Distributing) {
		t.Error("Has wants all of the flags")
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	p, m := goldenPDU(), Marker{Port: 3}
	pdu, marker := p.Frame(portMAC), m.Frame(portMAC)
	bad := patched(pdu, 17, 19)
	if n := testing.AllocsPerRun(100, func() { ParsePDU(pdu); ParsePDU(bad); ParseMarker(marker) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
