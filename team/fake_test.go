// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// kernel is a Source, an Adapter and a Datapath whose every call is on record, in order.
type kernel struct {
	changes chan struct{}
	control chan Control

	mu       sync.Mutex
	calls    []string
	links    map[int]monitor.Link // by ifindex
	open     map[int]Link         // by member id
	plan     *spread.Plan
	carrier  bool
	speeds   []Speed // that the adapter was given
	backlog  map[int]int
	unsent   map[int]bool
	counters Counters
	sent     map[int][][]byte
	joinHold time.Duration // how long Join takes
	rtnlHeld time.Duration // how long a change of the carrier takes
	fail     map[string]error
	flows    *spread.FlowTable // nil: the Plan has none
	rxBytes  spread.RxBytes
	moved    Moved
	resent   uint64       // how often the retransmissions were read
	ownMAC   map[int]bool // members whose NICs refuse other addresses
	sees     bool         // that members have no link
	dead     spread.MemberSet
	filter   HelloFilter
	hellos   Hellos

	carriersRead int           // how often a carrier was read
	slowCarrier  time.Duration // how long the answer takes to come
	bad          []string      // what should not have happened
}

func newKernel() *kernel {
	return &kernel{changes: make(chan struct{}, 1), control: make(chan Control, 16), links: map[int]monitor.Link{},
		open: map[int]Link{}, backlog: map[int]int{}, unsent: map[int]bool{}, sent: map[int][][]byte{},
		fail: map[string]error{}}
}

func (k *kernel) called(format string, a ...any) error {
	s := fmt.Sprintf(format, a...)
	k.calls = append(k.calls, s)
	return k.fail[s]
}

func (k *kernel) SetCarrier(up bool) error {
	k.mu.Lock()
	hold := k.rtnlHeld
	k.mu.Unlock()
	time.Sleep(hold)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.called("carrier %v", up); err != nil {
		return err
	}
	k.carrier = up
	return nil
}

func (k *kernel) SetSpeed(bps uint64, duplex string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.called("speed"); err != nil {
		return err
	}
	k.speeds = append(k.speeds, Speed{bps, duplex})
	return nil
}

func (k *kernel) Join(id int, l Link) error {
	k.mu.Lock()
	hold := k.joinHold
	k.mu.Unlock()
	time.Sleep(hold)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.open[id]; ok {
		k.bad = append(k.bad, fmt.Sprintf("joined %d twice", id))
	}
	if err := k.called("join %s", l.Name); err != nil {
		return err
	}
	k.open[id] = l
	return nil
}

func (k *kernel) Leave(id int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plan != nil && (k.plan.Collecting | k.plan.Distributing).Has(id) {
		k.bad = append(k.bad, fmt.Sprintf("left %d while the Plan names it", id))
	}
	err := k.called("leave %s", k.open[id].Name)
	delete(k.open, id)
	return err
}

func (k *kernel) Apply(p *spread.Plan) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range spread.MaxMembers {
		if _, ok := k.open[id]; !ok && (p.Collecting | p.Distributing).Has(id) {
			k.bad = append(k.bad, fmt.Sprintf("plan names %d, which is not open", id))
		}
	}
	for id := range k.ownMAC {
		if len(p.Filter[id]) > 0 {
			k.control <- Control{Kind: ControlRefused, Member: id, Err: errors.New("operation not supported")}
		}
	}
	if err := k.called("plan %b", p.Distributing); err != nil {
		return err
	}
	k.plan = p
	return nil
}

func (k *kernel) Backlog(id int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.backlog[id]
}

func (k *kernel) Unsent(id int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsent[id]
}

func (k *kernel) Counters(c *Counters) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*c = k.counters
}

func (k *kernel) NoteHellos(f *HelloFilter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.filter = *f
}

func (k *kernel) Hellos(h *Hellos) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*h = k.hellos
}

func (k *kernel) SeesLosses() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sees
}

func (k *kernel) Dead() spread.MemberSet {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

func (k *kernel) Flows(f *spread.FlowTable) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, "flows")
	if k.flows == nil {
		return false
	}
	*f = *k.flows
	return true
}

func (k *kernel) retransmits() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resent++
	return 0
}

func (k *kernel) Moved(m *Moved) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*m = k.moved
}

func (k *kernel) RxBytes(h *spread.RxBytes) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*h = k.rxBytes
}

func (k *kernel) Control() <-chan Control { return k.control }

func (k *kernel) Send(id int, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent[id] = append(k.sent[id], b)
	return k.called("send %d", id)
}

func (k *kernel) Close() error { return nil }

func (k *kernel) Changes(context.Context) <-chan struct{} { return k.changes }

func (k *kernel) Carrier(index int) bool {
	k.mu.Lock()
	k.carriersRead++
	up, slow := k.links[index].Carrier, k.slowCarrier
	k.mu.Unlock()
	time.Sleep(slow)
	return up
}

func (k *kernel) Link(index int) monitor.Link {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.links[index]
}

// cable plugs eth<n> in or pulls it, without any event.
func (k *kernel) cable(n int, up bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[10+n] = monitor.Link{Exists: true, AdminUp: true, Carrier: up, SpeedBps: 1e9, Duplex: "full"}
}

// taken returns the calls since it was last called.
func (k *kernel) taken() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.calls
	k.calls = nil
	return c
}

func (k *kernel) do(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// fakeAddresses is an AddressSource that may be slow.
type fakeAddresses struct {
	mu    sync.Mutex
	what  Announcement
	hold  time.Duration
	reads int
	asked int
}

func (a *fakeAddresses) AskNeighbours(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return nil
}

func (a *fakeAddresses) Announcement(ctx context.Context) (Announcement, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads++
	select {
	case <-ctx.Done():
		return Announcement{}, ctx.Err()
	case <-time.After(a.hold):
	}
	return a.what, nil
}

// activeBackup is the configuration of most tests here: the loop is what they are about, and no mode is simpler.
func activeBackup() settings.Config {
	c := settings.DefaultConfig()
	c.Team, c.Mode, c.LinkWatch = "team0", modes.ActiveBackup, []string{"carrier"}
	return c
}

// running runs a team with eth1 and eth2, both plugged in, in a bubble.
func running(t *testing.T, k *kernel, o Options, nics ...int) *Team {
	t.Helper()
	return runningOn(t, k, o, nics...)
}

// fake is a kernel, or one with faults.
type fake interface {
	Adapter
	Datapath
	monitor.Source
	cable(n int, up bool)
	do(func())
	faults() []string
}

func (k *kernel) faults() []string { return k.bad }

func runningOn(t *testing.T, k fake, o Options, nics ...int) *Team {
	t.Helper()
	if o.Config.Team == "" {
		o.Config = activeBackup()
	}
	o.MAC, o.Salt, o.Adapter, o.Datapath, o.Source = adapterMAC, 42, k, k, k
	tm, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tm.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := tm.Join(context.Background(), linkOf(99), 0, MemberInfo{}); !errors.Is(err, errEnded) {
			t.Errorf("join after the end: %v", err)
		}
		k.do(func() {
			for _, b := range k.faults() {
				t.Error(b)
			}
		})
	})
	for _, n := range nics {
		k.cable(n, true)
		if _, err := tm.Join(ctx, linkOf(n), 0, MemberInfo{Driver: "igc", MTU: 1500}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
	}
	return tm
}
