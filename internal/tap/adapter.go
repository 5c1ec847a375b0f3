// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/frame"
)

var (
	// ErrExists is returned by Create when a link of that name exists already.
	ErrExists = errors.New("a link of that name exists")
	// ErrNotFound is returned by Open when there is no such link.
	ErrNotFound = errors.New("no such link")
	// ErrForeign is returned by Open for a link that this package did not create.
	ErrForeign = errors.New("not a persistent multi-queue TAP")
	// ErrBusy is returned when another process holds a queue of the device.
	ErrBusy = errors.New("another process holds a queue of the device")
)

// DefaultTxQueueLen is how many frames the device holds for the relay. The relay drains it at once, so the length adds
// no delay; a standstill of the machine, or the time between two processes of the team, loses no frames: it holds 20
// 000 a second for 250 ms. Full frames of 1500 bytes then take 12 MB of memory. Super-frames take up to 68 KB each, but
// what TCP has under way is bounded by its windows.
const DefaultTxQueueLen = 5000

// Options describe an adapter. Zero values leave the choice to the kernel, except TxQueueLen.
//
// There is one queue. With more, tun's flow table (or its hash, before a flow was written) spreads what the host
// transmits over the queues, and a flow changes its queue when another goroutine writes a frame of it: two goroutines
// would move one flow and reorder it. The device is multi-queue all the same, because that cannot change later.
type Options struct {
	Name       string
	MTU        int
	MAC        frame.MAC
	TxQueueLen int // 0: DefaultTxQueueLen

	Store descriptors.Store // keeps the queue for the next process; nil: nothing does
}

// Adapter is a TAP held by this process. SetCarrier, SetPersist and the getters may be called from any goroutine.
type Adapter struct {
	name     string
	index    int
	mac      frame.MAC
	settled  bool
	offloads Offloads
	queues   []*Queue
	store    descriptors.Store

	mu     sync.Mutex
	closed bool
}

// Create creates the device, administratively down and without carrier. On error it removes it.
func Create(o Options) (*Adapter, error) {
	if err := checkName(o.Name); err != nil {
		return nil, fmt.Errorf("create adapter: %w", err)
	}
	// water leaks a descriptor on each error of TUNSETIFF: check for the likely one before.
	switch _, err := netlink.LinkByName(o.Name); {
	case err == nil:
		return nil, fmt.Errorf("create adapter %s: %w", o.Name, ErrExists)
	case !errors.As(err, new(netlink.LinkNotFoundError)):
		return nil, fmt.Errorf("create adapter %s: look the name up: %w", o.Name, err)
	}
	settled, err := makeDevice(o)
	if err != nil {
		if errors.Is(err, unix.EEXIST) {
			err = ErrExists // it came in between
		}
		return nil, fmt.Errorf("create adapter %s: %w", o.Name, err)
	}
	a, err := attach(o)
	if err != nil {
		return nil, fmt.Errorf("create adapter %s: %w", o.Name, errors.Join(err, removeDevice(o.Name)))
	}
	a.settled = settled
	return a, nil
}

// Open opens the persistent adapter that an earlier process left, with its ifindex and addresses. It starts without
// carrier. MTU and MAC change only if o has them.
func Open(o Options) (*Adapter, error) {
	if err := checkName(o.Name); err != nil {
		return nil, fmt.Errorf("open adapter: %w", err)
	}
	l, err := netlink.LinkByName(o.Name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("open adapter %s: %w", o.Name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open adapter %s: %w", o.Name, err)
	}
	t, ok := l.(*netlink.Tuntap)
	if !ok || t.Mode != netlink.TUNTAP_MODE_TAP || t.NonPersist || t.Flags&netlink.TUNTAP_MULTI_QUEUE == 0 {
		return nil, fmt.Errorf("open adapter %s: %w", o.Name, ErrForeign)
	}
	if t.Queues+t.DisabledQueues > 0 {
		return nil, fmt.Errorf("open adapter %s: %w", o.Name, ErrBusy)
	}
	a, err := attach(o)
	if err != nil {
		return nil, fmt.Errorf("open adapter %s: %w", o.Name, err)
	}
	return a, nil
}

// attach opens the queue of an existing device that has none, and applies o to the device.
func attach(o Options) (a *Adapter, err error) {
	q, err := openQueue(o.Name, unix.IFF_NO_CARRIER)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			q.close()
		}
	}()
	a = &Adapter{name: o.Name, settled: true, queues: []*Queue{q}, store: descriptors.Or(o.Store)}
	if a.offloads, err = q.setOffloads(); err != nil {
		return nil, err
	}
	if err := a.configure(o); err != nil {
		return nil, err
	}
	a.keep()
	return a, nil
}

// keep stores the queue for the next process. A store that is full costs that process a moment, not this one.
func (a *Adapter) keep() { _ = a.store.Put(descriptors.Tap, a.queues[0].fd) }

// configure applies o by netlink and reads the result back.
func (a *Adapter) configure(o Options) error {
	l, err := netlink.LinkByName(o.Name)
	if err != nil {
		return err
	}
	if t, ok := l.(*netlink.Tuntap); ok && t.Queues+t.DisabledQueues > len(a.queues) {
		return ErrBusy
	}
	if o.MAC != 0 {
		if err := setMAC(l, o.MAC); err != nil {
			return err
		}
	}
	if o.MTU != 0 {
		if err := netlink.LinkSetMTU(l, o.MTU); err != nil {
			return fmt.Errorf("set MTU %d: %w", o.MTU, err)
		}
	}
	n := o.TxQueueLen
	if n == 0 {
		n = DefaultTxQueueLen
	}
	if err := netlink.LinkSetTxQLen(l, n); err != nil {
		return fmt.Errorf("set transmit queue length %d: %w", n, err)
	}
	if l, err = netlink.LinkByIndex(l.Attrs().Index); err != nil {
		return err
	}
	a.index, a.mac = l.Attrs().Index, o.MAC
	if o.MAC == 0 {
		a.mac = frame.MACFrom(net.HardwareAddr(l.Attrs().HardwareAddr))
	}
	return nil
}

// Name is the device's name as it was at Create or Open.
func (a *Adapter) Name() string { return a.name }

// Index is the device's ifindex.
func (a *Adapter) Index() int { return a.index }

// MAC is the address that Create or Open set, or found.
func (a *Adapter) MAC() frame.MAC { return a.mac }

// MACSettled reports whether udev leaves the device's address alone: a later change is then an administrator's.
func (a *Adapter) MACSettled() bool { return a.settled }

// Offloads returns what the kernel leaves to the reader of the queue.
func (a *Adapter) Offloads() Offloads { return a.offloads }

// Queues are the device's queues, at present always one. They live until Close or Delete.
func (a *Adapter) Queues() []*Queue { return a.queues }

// SetCarrier sets the adapter's carrier: on while a member is usable.
func (a *Adapter) SetCarrier(up bool) error {
	v := 0
	if up {
		v = 1
	}
	return a.control("set carrier", func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, v) })
}

// SetPersist sets whether the device outlives the last descriptor, with its addresses and routes. One that is not
// persistent vanishes with the process.
func (a *Adapter) SetPersist(on bool) error {
	v := 0
	if on {
		v = 1
	}
	return a.control("set persist", func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, v) })
}

func (a *Adapter) control(op string, f func(fd int) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fmt.Errorf("%s of %s: %w", op, a.name, net.ErrClosed)
	}
	if err := f(a.queues[0].fd); err != nil {
		return fmt.Errorf("%s of %s: %w", op, a.name, err)
	}
	return nil
}

// Close closes the queues, which nobody may use any more. The device stays, with its addresses, without carrier.
// Closing twice is fine.
func (a *Adapter) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	_ = a.store.Remove(descriptors.Tap)
	_ = a.store.Sync() // a device that is not persistent goes with the last descriptor
	var errs []error
	for _, q := range a.queues {
		errs = append(errs, q.close())
	}
	return errors.Join(errs...)
}

// Delete closes the adapter and removes the device. After Close it does nothing.
func (a *Adapter) Delete() error {
	err := a.SetPersist(false)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return errors.Join(err, a.Close())
}
