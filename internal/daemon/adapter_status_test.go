// SPDX-License-Identifier: MIT

package daemon

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/panics"
)

// TestStatusDoesNotWait: while the kernel does not answer, every status has the last reading with its time, and only
// one reading waits.
func TestStatusDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mtu, under atomic.Int32
		var locked chan struct{} // nil, or closed at the end of the lock
		mtu.Store(1500)
		first := time.Now()
		r := newAdapterReader(func() api.Adapter {
			if n := under.Add(1); n > 1 {
				t.Errorf("%d readings at a time", n)
			}
			defer under.Add(-1)
			if locked != nil {
				<-locked
			}
			return api.Adapter{MTU: int(mtu.Load()), Addresses: []string{"10.9.0.1/24"}}
		}, panics.New(nil))
		time.Sleep(time.Second)
		mtu.Store(9000)
		locked = make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(locked) })
		for range 100 {
			asked := time.Now()
			a := r.status()
			if a.MTU != 1500 || !a.AsOf.Equal(first) {
				t.Errorf("while it is locked: %+v", a)
			}
			if took := time.Since(asked); took > adapterReadTimeout {
				t.Errorf("it waited for %v", took)
			}
			a.Addresses[0] = "the caller's"
		}
		time.Sleep(time.Hour)
		if a := r.status(); a.MTU != 9000 || time.Since(a.AsOf) != 0 || a.Addresses[0] != "10.9.0.1/24" {
			t.Errorf("afterwards: %+v", a)
		}
	})
}

// TestStatusIsFresh: a status never has a reading that began before the call.
func TestStatusIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mtu atomic.Int32
		r := &adapterReader{read: func() api.Adapter {
			a := api.Adapter{MTU: int(mtu.Load())}
			time.Sleep(10 * time.Millisecond)
			return a
		}}
		go r.status()
		time.Sleep(time.Millisecond)
		mtu.Store(9000)
		if a := r.status(); a.MTU != 9000 {
			t.Errorf("it has an MTU of %d", a.MTU)
		}
		synctest.Wait()
	})
}

// TestStatusKnowsChanges: what was read after a change is shown when the kernel does not answer later.
func TestStatusKnowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mtu, locked := 1500, false
		end := make(chan struct{})
		defer close(end)
		r := newAdapterReader(func() api.Adapter {
			if locked {
				<-end
			}
			return api.Adapter{MTU: mtu}
		}, panics.New(nil))
		mtu = 9000
		r.refresh()
		synctest.Wait()
		locked = true
		if a := r.status(); a.MTU != 9000 {
			t.Errorf("%+v", a)
		}
	})
}

// TestStatusOutlivesAPanic: after a reading that panics, the status has the one before.
func TestStatusOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mtu := 1500
		r := &adapterReader{panics: panics.New(nil), read: func() api.Adapter {
			if mtu == 0 {
				panic("no MTU")
			}
			return api.Adapter{MTU: mtu}
		}}
		r.status()
		mtu = 0
		for range 5 {
			if a := r.status(); a.MTU != 1500 {
				t.Errorf("read %+v", a)
			}
		}
		mtu = 9000
		if a := r.status(); a.MTU != 9000 {
			t.Errorf("afterwards %+v", a)
		}
		select {
		case err := <-r.panics.Fatal():
			t.Error(err)
		default:
			if list := r.panics.List(); len(list) != 1 || list[0].Count != 5 {
				t.Errorf("kept %+v", list)
			}
		}
	})
}
