// SPDX-License-Identifier: MIT

package fastpath

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// TestEngaged has a connection go by the programs: the relay moves no more than the neighbours' questions.
func TestEngaged(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	labtest.Must(t, g.path.Engage())
	l, err := g.peer.Listen("tcp", "10.9.0.2:0")
	labtest.Must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1<<20)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	c, err := g.host.Dial(t.Context(), "tcp", l.Addr().String())
	labtest.Must(t, err)
	defer c.Close()
	b := make([]byte, 1<<20)
	labtest.Must(t, c.SetDeadline(time.Now().Add(labtest.Patience)))
	for range 20 {
		_, err := c.Write(b)
		labtest.Must(t, err)
		for left := len(b); left > 0; {
			n, err := c.Read(b[:left])
			labtest.Must(t, err)
			left -= n
		}
	}
	var both, slow team.Counters
	g.path.Counters(&both)
	g.path.relay.Counters(&slow)
	if n := slow.Members[0].TX[frame.TCP].Frames + slow.Members[0].RX[frame.TCP].Frames; n > 0 {
		t.Errorf("the relay has moved %d frames", n)
	}
	m := &both.Members[0]
	if m.TX[frame.TCP].Bytes < 20<<20 || m.RX[frame.TCP].Bytes < 20<<20 {
		t.Errorf("counted %+v out and %+v in", m.TX[frame.TCP], m.RX[frame.TCP])
	}
}
