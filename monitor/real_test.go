// SPDX-License-Identifier: MIT

package monitor_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/host"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/panics"
	"nicteam/monitor"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// bench is a host with NICs that look real to it, watched through the kernel.
type bench struct {
	*lab.Host
	wires   []*lab.Wire
	index   []int
	source  *host.Host
	watch   *monitor.Carrier
	reports chan monitor.LinkState
}

// subscribed is a Source that has subscribed already, in the watched host's namespace: so the watch
// runs on any thread, as it does in the product.
type subscribed struct {
	monitor.Source
	changes <-chan struct{}
}

func (s subscribed) Changes(context.Context) <-chan struct{} { return s.changes }

func newBench(t testing.TB, nics int) *bench {
	b := &bench{Host: labtest.Host(t, "watched"), reports: make(chan monitor.LinkState, 1000)}
	far := labtest.Host(t, "far")
	var h *host.Host
	labtest.Must(t, b.Do(func() (err error) { h, err = host.Open(host.Options{}); return err }))
	t.Cleanup(func() { labtest.Check(t, h.Close()) })
	ctx, cancel := context.WithCancel(context.Background())
	src := subscribed{Source: h}
	labtest.Must(t, b.Do(func() error { src.changes = h.Changes(ctx); return nil }))
	b.source, b.watch = h, monitor.NewCarrier(src, panics.New(nil))
	for i := range nics {
		w, err := lab.NewWire(b.Host, fmt.Sprintf("eth%d", i), far, fmt.Sprintf("far%d", i), lab.WireOptions{})
		labtest.Must(t, err)
		t.Cleanup(func() { labtest.Check(t, w.Close()) })
		var ifi *net.Interface
		labtest.Must(t, b.Do(func() (err error) { ifi, err = net.InterfaceByName(w.A.Name); return err }))
		b.wires, b.index = append(b.wires, w), append(b.index, ifi.Index)
		b.watch.Add(ifi.Index)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.watch.Watch(ctx, func(s monitor.LinkState) { b.reports <- s }) }()
	t.Cleanup(func() { cancel(); labtest.Check(t, <-ended) })
	// On a busy machine the verdict comes before the description, then again with it.
	described := map[int]bool{}
	for len(described) < nics {
		if s := b.next(t); s.Up && s.Link.SpeedBps == 1e9 && s.Link.Duplex == "full" {
			described[s.Index] = true
		}
	}
	return b
}

func (b *bench) next(t testing.TB) monitor.LinkState {
	t.Helper()
	select {
	case s := <-b.reports:
		return s
	case <-time.After(labtest.Patience):
		t.Fatal("no report")
		panic("unreachable")
	}
}

// await returns the next report that is about NIC n and says up.
func (b *bench) await(t testing.TB, n int, up bool) monitor.LinkState {
	t.Helper()
	for {
		if s := b.next(t); s.Index == b.index[n] && s.Up == up {
			return s
		}
	}
}

// The kernel holds back the event of a second loss for up to a second; here it must be noticed
// about as fast as the first. TAP NICs show it, veth does not.
func TestRealSecondLoss(t *testing.T) {
	b := newBench(t, 2)
	var first, second []time.Duration
	for range 7 {
		at := time.Now()
		labtest.Must(t, b.wires[0].Cut())
		first = append(first, b.await(t, 0, false).At.Sub(at))
		time.Sleep(time.Until(at.Add(100 * time.Millisecond)))
		at = time.Now()
		labtest.Must(t, b.wires[1].Cut())
		second = append(second, b.await(t, 1, false).At.Sub(at))
		for i := range b.wires {
			labtest.Must(t, b.wires[i].Mend())
			b.await(t, i, true)
		}
	}
	t.Logf("first %v", first)
	t.Logf("second, 100 ms later %v", second)
	// The kernel keeps the news of a second loss for a second; the median, because machines stand still now and then.
	for _, late := range [][]time.Duration{first, second} {
		slices.Sort(late)
		if m := late[len(late)/2]; m > 500*time.Millisecond {
			t.Errorf("noticed after %v, median of %v", m, late)
		}
	}
}

func TestRealReasons(t *testing.T) {
	b := newBench(t, 2)
	labtest.Must(t, b.Down("eth0"))
	labtest.Eventually(t, "administratively down", func() bool {
		return b.await(t, 0, false).Reason == monitor.ReasonAdmin
	})
	labtest.Must(t, b.Up("eth0"))
	b.await(t, 0, true)
	labtest.Must(t, b.wires[1].Cut())
	if s := b.await(t, 1, false); s.Reason != monitor.ReasonCarrier {
		t.Errorf("reason %q", s.Reason)
	}
	labtest.Must(t, b.wires[0].A.Unplug())
	labtest.Eventually(t, "gone", func() bool {
		return b.await(t, 0, false).Reason == monitor.ReasonGone
	})
}

// BenchmarkRealWatch shows what watching 8 NICs costs of one CPU, and what a process costs that only
// wakes as often.
func BenchmarkRealWatch(b *testing.B) {
	cpu := func() time.Duration {
		var u unix.Rusage
		labtest.Must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, nics := range []int{0, 8} {
		b.Run(fmt.Sprintf("nics=%d", nics), func(b *testing.B) {
			newBench(b, nics)
			time.Sleep(100 * time.Millisecond)
			begin, was := time.Now(), cpu()
			for b.Loop() {
				time.Sleep(100 * time.Millisecond)
			}
			b.ReportMetric(100*float64(cpu()-was)/float64(time.Since(begin)), "%cpu")
		})
	}
}

// BenchmarkRealCarrier is one reading of one NIC.
func BenchmarkRealCarrier(b *testing.B) {
	w := newBench(b, 1)
	for b.Loop() {
		w.source.Carrier(w.index[0])
	}
}
