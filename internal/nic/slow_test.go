// SPDX-License-Identifier: MIT

package nic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// slowFrame is a frame of a slow protocol with a number.
func slowFrame(n int) []byte {
	b := testFrame(n)
	frame.MAC(0x0180c2000002).Put(b, 0)
	binary.BigEndian.PutUint16(b[12:], frame.TypeSlow)
	return b
}

// receiveSlow returns the frames that ReceiveSlow returns up to last.
func receiveSlow(t *testing.T, s *Socket, last []byte) (all [][]byte) {
	t.Helper()
	timer := time.AfterFunc(5*time.Second, func() { s.Close() })
	defer timer.Stop()
	for b := make([]byte, 2000); ; {
		n, err := s.ReceiveSlow(b)
		labtest.Must(t, err)
		all = append(all, bytes.Clone(b[:n]))
		if bytes.Equal(b[:n], last) {
			return all
		}
	}
}

func TestSlowSocketReceivesSlowProtocolsOnly(t *testing.T) {
	p := newPair(t, Options{})
	// The NIC passes all groups up: the filter of the socket is tested.
	labtest.Must(t, p.a.SetPromiscuous(true))
	other, tagged, third := slowFrame(3), slowFrame(4), slowFrame(5)
	frame.MAC(0x0180c200000e).Put(other, 0)
	tagged = append(append(bytes.Clone(tagged[:12]), 0x81, 0, 0, 7), tagged[12:]...)
	question, answer := slowFrame(10), slowFrame(11)
	question[14], question[15], question[16] = 2, 1, 1
	answer[14], answer[15], answer[16] = 2, 1, 2
	send := func(frames ...[]byte) {
		for _, b := range frames {
			labtest.Must(t, p.b.SendControl(b))
		}
	}
	send(slowFrame(0)) // before it is enabled
	labtest.Must(t, p.a.EnableSlow(true))
	labtest.Must(t, p.a.SendControl(slowFrame(9))) // our own
	send(testFrame(1), slowFrame(2), other, tagged, question, answer, third)
	if diff := cmp.Diff([][]byte{slowFrame(2), answer, third}, receiveSlow(t, p.a, third)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	labtest.Must(t, p.a.EnableSlow(false))
	send(slowFrame(6))
	labtest.Must(t, p.a.EnableSlow(true))
	send(slowFrame(7))
	if diff := cmp.Diff([][]byte{slowFrame(7)}, receiveSlow(t, p.a, slowFrame(7))); diff != "" {
		t.Errorf("received again (-want +got):\n%s", diff)
	}
	// The first way in has all of them.
	if got := collect(t, p.a, 10); !bytes.Equal(got[0][frame.VnetLen:], slowFrame(0)) {
		t.Errorf("received %x first", got[0])
	}
}

func TestSlowSocketOfANICThatGoesDownAndAway(t *testing.T) {
	p := newPair(t, Options{})
	labtest.Must(t, p.a.JoinGroup(0x0180c2000002))
	labtest.Must(t, p.a.EnableSlow(true))
	labtest.Must(t, p.host.Down("a"))
	b := make([]byte, 2000)
	if _, err := p.a.ReceiveSlow(b); !errors.Is(err, ErrDown) {
		t.Errorf("receive by a NIC that went down: %v", err)
	}
	labtest.Must(t, p.host.Up("a"))
	labtest.Eventually(t, "carrier", p.b.Carrier)
	labtest.Must(t, p.b.SendControl(slowFrame(1)))
	receiveSlow(t, p.a, slowFrame(1))

	l, err := p.host.Handle().LinkByName("a")
	labtest.Must(t, err)
	labtest.Must(t, p.host.Handle().LinkDel(l))
	if err := p.a.EnableSlow(false); err == nil {
		t.Error("received by a NIC that is gone")
	}
	time.AfterFunc(50*time.Millisecond, func() { p.a.Close() })
	for {
		if _, err := p.a.ReceiveSlow(b); errors.Is(err, ErrClosed) {
			break
		}
	}
	if err := p.a.EnableSlow(true); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed socket receives: %v", err)
	}
}
