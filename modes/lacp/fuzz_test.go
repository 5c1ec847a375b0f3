// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"

	"nicteam/internal/frame"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What can be read says the same once it is written and read again.
func FuzzParsePDU(f *testing.F) {
	p := goldenPDU()
	good := p.Frame(portMAC)
	f.Add(good)
	f.Add(patched(good, atVersion, 2))
	f.Add(patched(good, 17, 19))
	f.Add(good[:FrameLen-1])
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParsePDU(in)
		if err != nil {
			if p != (PDU{}) {
				t.Errorf("%+v of what is refused", p)
			}
			return
		}
		again, err := ParsePDU(p.Frame(frame.MACAt(in, 6)))
		if err != nil || again != p {
			t.Errorf("%+v became %+v %v", p, again, err)
		}
	})
}

func FuzzParseMarker(f *testing.F) {
	m := Marker{Port: 1, System: 0x020000000001, Transaction: 0x01020304}
	f.Add(m.Frame(portMAC))
	m.Response, m.length = true, markerLenOld
	f.Add(m.Frame(portMAC))
	f.Add(patched(m.Frame(portMAC), 17, 21))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := ParseMarker(in)
		if err != nil {
			if m != (Marker{}) {
				t.Errorf("%+v of what is refused", m)
			}
			return
		}
		again, err := ParseMarker(m.Frame(frame.MACAt(in, 6)))
		if err != nil || again != m {
			t.Errorf("%+v became %+v %v", m, again, err)
		}
	})
}

// Whatever comes, at whatever times, a system neither panics nor sends more than it may, and what is malformed changes
// nothing. Each five octets of the script are one frame: port and kind, milliseconds since the one before in units of
// 10, an octet's place in the frame, and two to put there.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 100, 0, 0, 0}, []byte{})
	f.Add([]byte{2, 1, 32, 0x3f, 0, 3, 1, 32, 0x3f, 0, 2, 200, 20, 2, 3}, []byte{1, 2, 3})
	f.Add([]byte{4, 1, 17, 16, 0, 5, 0, 17, 22, 0, 6, 3, 17, 21, 0, 8, 250, 0, 0, 0, 9, 250, 0, 0, 0},
		[]byte{0x01, 0x80, 0xc2, 0, 0, 2})
	f.Fuzz(func(t *testing.T, script, raw []byte) {
		if len(script) > 5*2000 {
			return
		}
		s, now := pair(t, Config{System: SystemID{Priority: 65535, MAC: 0x020000000001}, Fast: true})
		var sent sentRates
		for ; len(script) >= 5; script = script[5:] {
			now = now.Add(time.Duration(script[1]) * 10 * time.Millisecond)
			for i := 0; ; i++ {
				d := s.Deadline()
				if d.IsZero() || d.After(now) {
					break
				}
				if i == 10000 {
					t.Fatalf("a Tick at %v asks for another at %v for ever", now, d)
				}
				sent.add(t, d, s.Tick(d))
			}
			b := kindOfFrame(s, script[0], raw)
			if at := int(script[2]); at+1 < len(b) {
				b[at], b[at+1] = b[at]^script[3], b[at+1]^script[4]
			}
			before, remembered := s.Status(), s.Memory()
			sent.add(t, now, s.Receive(now, int(script[0]&1), b))
			if pduError(b) != nil && markerError(b) != nil {
				if diff := cmp.Diff(before, s.Status(), cmpopts.IgnoreTypes(Counters{})); diff != "" {
					t.Errorf("%x changed -before +after:\n%s", b, diff)
				}
				if diff := cmp.Diff(remembered, s.Memory()); diff != "" {
					t.Errorf("%x changed the memory, -before +after:\n%s", b, diff)
				}
			}
		}
	})
}

// kindOfFrame makes the frame that a step of FuzzReceive begins with.
func kindOfFrame(s *System, kind byte, raw []byte) []byte {
	port := s.Status().Ports[kind&1]
	actor := Info{System: SystemID{Priority: 1, MAC: 0x020000000002}, Key: 9, PortPriority: 255,
		Port: uint16(kind&1) + 1, State: 0x3f}
	p := PDU{Version: 1, Actor: actor, Partner: port.Actor}
	m := Marker{Port: 1, System: 0x020000000002, Transaction: 1}
	switch kind >> 1 % 8 {
	case 0: // who knows us
	case 1: // who does not
		p.Partner = Info{}
	case 2:
		p.Actor.State = Activity | Aggregation
	case 3: // ourselves
		p.Actor = port.Actor
	case 4: // somebody else
		p.Actor.System.MAC++
	case 5:
		return m.Frame(portMAC)
	case 6:
		m.Response, m.System, m.Port = true, port.Actor.System.MAC, port.Actor.Port
		return m.Frame(portMAC)
	case 7:
		return append([]byte{}, raw...)
	}
	return p.Frame(portMAC)
}

// pair returns a system with two ports that are up, after its first PDUs.
func pair(t testing.TB, c Config) (*System, time.Time) {
	t.Helper()
	now := time.Unix(1_000_000, 0)
	s := New(c, nil)
	s.Configure(now, c, portPair(c))
	if n := len(s.Status().Ports); n != 2 {
		t.Fatalf("%d ports", n)
	}
	return s, now
}

// portPair is two ports with a carrier.
func portPair(c Config) []PortConfig {
	ports := make([]PortConfig, 2)
	for i := range ports {
		ports[i] = PortConfig{ID: i, Name: [...]string{"eth1", "eth2"}[i], MAC: c.System.MAC + frame.MAC(i),
			Number: uint16(i) + 1, Priority: 255, Up: true, SpeedBps: 1e9}
	}
	return ports
}

// sentRates sees that no port sends more than it may: 3 LACPDUs in any second, and no more answers to markers than it
// takes questions.
type sentRates struct {
	pdus, markers [2][]time.Time
}

func (r *sentRates) add(t *testing.T, now time.Time, out Out) {
	t.Helper()
	for _, s := range out.Send {
		sent, most := &r.pdus[s.Port], 3
		switch {
		case pduError(s.Frame) == nil:
		case markerError(s.Frame) == nil:
			sent, most = &r.markers[s.Port], 20
		default:
			t.Fatalf("sent %x", s.Frame)
		}
		*sent = append(*sent, now)
		if n := len(*sent); n > most && now.Sub((*sent)[n-1-most]) < time.Second {
			t.Errorf("port %d sent %d frames in %v", s.Port, most+1, now.Sub((*sent)[n-1-most]))
		}
	}
	if len(out.Notes) > 10 || len(out.Flushed) > 2 {
		t.Errorf("%d notes, %d flushed", len(out.Notes), len(out.Flushed))
	}
}
