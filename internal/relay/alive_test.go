// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"testing"
	"time"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// TestAlive: the relay is alive while each goroutine comes between its batches.
func TestAlive(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleSingle))
	labtest.Must(t, g.relay.Alive())
	hangs := func(where string, hang func(f func())) {
		t.Helper()
		begun, release := make(chan struct{}), make(chan struct{})
		go hang(func() { close(begun); <-release })
		<-begun
		alive := make(chan error, 1)
		go func() { alive <- g.relay.Alive() }()
		select {
		case err := <-alive:
			t.Errorf("%s hangs, and the relay is alive (%v)", where, err)
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		labtest.Must(t, <-alive)
	}
	hangs("the transmitter", func(f func()) {
		_ = g.relay.DoWithPicker(func(*spread.Picker, int64) { f() })
	})
	hangs("a member", func(f func()) {
		m := g.relay.member(1)
		m.between.do(f, m.socket.Wake)
	})
	labtest.Must(t, g.relay.Leave(1)) // a member that left is not waited for
	labtest.Must(t, g.relay.Alive())
	labtest.Must(t, g.relay.Close())
	if err := g.relay.Alive(); !errors.Is(err, nic.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
