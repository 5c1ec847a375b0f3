// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// Many ask at once, and each is served once, one after the other, whatever else the goroutine has to do.
func TestDoWithPicker(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	host := g.teamPort()
	const callers, each = 8, 200
	served := 0 // by one goroutine: the race detector looks on
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				var mine int
				labtest.Check(t, g.relay.DoWithPicker(func(*spread.Picker, int64) { served++; mine++ }))
				if mine != 1 {
					t.Errorf("served %d times", mine)
				}
			}
		})
	}
	for i := range 1000 {
		host.send(testFrame(peerMAC, adapterMAC, i))
	}
	all.Wait()
	if served != callers*each {
		t.Errorf("%d were served of %d", served, callers*each)
	}
}

// Posted functions run before later ones, without waiting.
func TestPostWithPicker(t *testing.T) {
	g := newRig(t, 1)
	var got []int
	begun, wait := make(chan struct{}), make(chan struct{})
	labtest.Must(t, g.relay.PostWithPicker(func(*spread.Picker, int64) { close(begun); <-wait }))
	<-begun
	for i := range 10 {
		labtest.Must(t, g.relay.PostWithPicker(func(*spread.Picker, int64) { got = append(got, i) }))
	}
	close(wait)
	labtest.Must(t, g.relay.DoWithPicker(func(*spread.Picker, int64) { got = append(got, 10) }))
	if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
		t.Errorf("done %v", got)
	}
	labtest.Must(t, g.relay.Close())
	if err := g.relay.PostWithPicker(func(*spread.Picker, int64) {
		t.Error("it was done")
	}); !errors.Is(err, nic.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// What is asked for while the goroutine ends is either done, or said not to be.
func TestBetweenBatchesWhileEnding(t *testing.T) {
	for range 200 {
		var e betweenBatches
		if e.do(func() { t.Error("it was done") }, func() error { return nil }) {
			t.Error("it was done before the beginning")
		}
		e.open()
		var ran, told [8]bool
		var all sync.WaitGroup
		for i := range ran {
			all.Go(func() { told[i] = e.do(func() { ran[i] = true }, func() error { return nil }) })
		}
		e.run()
		e.close()
		all.Wait()
		if ran != told {
			t.Fatalf("done %v, reported %v", ran, told)
		}
		if e.due.Load() || len(e.tasks) != 0 {
			t.Fatal("something is left")
		}
	}
}
