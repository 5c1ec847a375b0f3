package tap

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

var (
	// ErrExists is returned by Create when a link of that name exists already.
	ErrExists = errors.New("a link of that name exists")
	// ErrNotFound is returned by Open when there is no such link.
	ErrNotFound = errors.New("no such link")
	// ErrForeign is returned by Open for a link that is not an adapter of this package's making.
	ErrForeign = errors.New("not a persistent multi-queue TAP")
	// ErrBusy is returned when another process holds a queue of the device.
	ErrBusy = errors.New("another process holds a queue of the device")
)

// DefaultTxQueueLen is how many frames the device holds for the relay. The relay drains at once, so
// the length adds no delay; it is what a standstill of the machine does not lose.
const DefaultTxQueueLen = 2000

// Options describe an adapter. Zero values leave the kernel's choice, but for TxQueueLen.
//
// There is always one queue. With more, tun's flow table (or its hash, before a flow was written)
// spreads what the host sends over the queues, and a flow changes its queue whenever another
// goroutine writes a frame of it: two goroutines would then be on one flow's way and reorder it.
// The device is multi-queue all the same, because that cannot be changed later.
type Options struct {
	Name       string
	MTU        int
	MAC        frame.MAC
	TxQueueLen int // 0: DefaultTxQueueLen
}

// Adapter is a TAP held by this process. SetCarrier, SetPersist and the getters may be called from any goroutine.
type Adapter struct {
	name     string
	index    int
	mac      frame.MAC
	settled  bool
	offloads Offloads
	queues   []*Queue

	mu     sync.Mutex
	closed bool
}

// Create makes the device, administratively down and without carrier. Nothing is left of it on error.
func Create(o Options) (*Adapter, error) {
	if err := ValidName(o.Name); err != nil {
		return nil, fmt.Errorf("create adapter: %w", err)
	}
	// water leaks a descriptor on each error of TUNSETIFF, so the likely one is looked for first.
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

// Open takes a persistent adapter up again that an earlier process left: same ifindex, addresses kept.
// It starts without carrier. MTU and MAC are changed only where o names them.
func Open(o Options) (*Adapter, error) {
	if err := ValidName(o.Name); err != nil {
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

// attach opens the queue of an existing device without queues and brings the device to o.
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
	a = &Adapter{name: o.Name, settled: true, queues: []*Queue{q}}
	if a.offloads, err = q.setOffloads(); err != nil {
		return nil, err
	}
	if err := a.configure(o); err != nil {
		return nil, err
	}
	return a, nil
}

// configure sets what netlink sets, and reads back what the kernel made of it.
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

// MAC is the device's address as Create or Open were to set it, or found it.
func (a *Adapter) MAC() frame.MAC { return a.mac }

// MACSettled reports whether whoever gives the device another address from here on means it: it is not one of the new
// devices to which udev gives addresses.
func (a *Adapter) MACSettled() bool { return a.settled }

// Offloads says what the kernel hands over unfinished.
func (a *Adapter) Offloads() Offloads { return a.offloads }

// Queues are the device's queues, at present always one. They live until Close or Delete.
func (a *Adapter) Queues() []*Queue { return a.queues }

// SetCarrier makes the adapter have carrier or not, as a member is usable or none is.
func (a *Adapter) SetCarrier(up bool) error {
	v := 0
	if up {
		v = 1
	}
	return a.control("set carrier", func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, v) })
}

// SetPersist says whether the device outlives the last descriptor: a device that does not vanishes with
// the process, one that does keeps its addresses and routes.
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

// Close lets go of the device, which stays with its addresses, without carrier. Nobody may use its
// queues any more. Closing twice is fine.
func (a *Adapter) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
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
