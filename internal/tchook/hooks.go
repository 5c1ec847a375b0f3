// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"log/slog"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/rtnl"
)

// Link is a NIC.
type Link struct {
	Name  string
	Index int
}

// A Journal records the filters and chains on one link, which outlive the process. Each method returns once the record
// is on disk; the change follows.
type Journal interface {
	Recorded() Recorded
	Isolating(m Method, clsact bool) error // clsact: we add it
	Unisolated() error
	Attaching(hook string, clsact bool) error
	Detached(hook string) error
}

// Recorded is the state of a link according to the journal.
type Recorded struct {
	Method Method   // how it is isolated, "" for not at all or by tcx
	Clsact bool     // clsact was added by us
	Hooks  []string // "ingress", "egress": where a program is attached by a filter
}

// Options of Hooks.
type Options struct {
	Team   string
	NoTCX  bool   // tests: do as on kernels before 6.6
	Method Method // tests: only this way of isolating and attaching

	Store descriptors.Store // keeps tcx links for the next process; nil: nothing does
}

// Hooks are the programs that this process has on tc hooks. The caller serialises the methods.
type Hooks struct {
	Options
	conn *rtnl.Conn
	log  *slog.Logger

	isolator *ebpf.Program      // nil: not loaded
	isolated map[int]*isolation // by ifindex
	attached map[hookPoint]*Attached
	prepared map[int]*prepared // by ifindex, until Isolate uses it

	filtersStay bool          // see FiltersStay
	detaching   chan struct{} // closed when what detachLater got last is detached; nil: nothing waits
}

// New returns Hooks with the programs that the process before left in the store.
func New(conn *rtnl.Conn, log *slog.Logger, o Options) *Hooks {
	o.Store = descriptors.Or(o.Store)
	h := &Hooks{Options: o, conn: conn, log: log, isolated: map[int]*isolation{}, attached: map[hookPoint]*Attached{},
		prepared: map[int]*prepared{}}
	h.inherit()
	return h
}

// Close detaches all programs that are attached by tcx.
func (h *Hooks) Close() {
	h.AwaitDetached()
	h.DropPrepared()
	h.dropIsolator()
	for _, i := range h.isolated {
		i.close()
	}
	clear(h.isolated)
	for _, a := range h.attached {
		a.link.end()
	}
	clear(h.attached)
}

// HandOver closes the descriptors of this process: programs whose links the store keeps stay attached, for the next
// one.
func (h *Hooks) HandOver() {
	h.AwaitDetached()
	h.DropPrepared()
	h.dropIsolator()
	for _, i := range h.isolated {
		i.link.handOver()
	}
	clear(h.isolated)
	for _, a := range h.attached {
		a.link.handOver()
	}
	clear(h.attached)
}

// Attached reports whether this process attached any program, except isolation.
func (h *Hooks) Attached() bool { return len(h.attached) > 0 }

// DetachGone detaches programs from NICs that have left for another network namespace. tcx links move along with a NIC,
// and would keep its frames from the new owner. Filters stay behind. A link that is on no NIC any more, while its NIC
// is here, was detached by another program: LostIsolation and CheckAttached tell.
func (h *Hooks) DetachGone() {
	gone := func(l *tcxLink, index int) bool {
		if l == nil {
			return false
		}
		if l.elsewhere(index) {
			return true
		}
		_, err := h.conn.Handle.LinkByIndex(index)
		return errors.As(err, new(netlink.LinkNotFoundError))
	}
	for index, i := range h.isolated {
		if gone(i.link, index) {
			h.EndIsolation(index)
		}
	}
	for at, a := range h.attached {
		if gone(a.link, at.index) {
			h.end(a)
			delete(h.attached, at)
		}
	}
}

// Revision changes when tcx programs on the ingress of these links change.
func Revision(indices []int) (sum uint64) {
	for _, i := range indices {
		if there, err := queryTCX(i, ebpf.AttachTCXIngress); err == nil {
			sum += there.Revision
		}
	}
	return sum
}

// attachTCX attaches a program to a hook and stores the link under a name. revision is that of the caller's query;
// ESTALE if the list has changed since. 0: any.
func (h *Hooks) attachTCX(l Link, hook ebpf.AttachType, p *ebpf.Program, where link.Anchor, revision uint64,
	name string) (*tcxLink, error) {
	if h.NoTCX {
		return nil, ebpf.ErrNotSupported
	}
	if err := h.conn.FaultPoint("attach tcx to " + l.Name); err != nil {
		return nil, err
	}
	ln, err := link.AttachTCX(link.TCXOptions{Interface: l.Index, Program: p, Attach: hook, Anchor: where,
		ExpectedRevision: revision})
	if err != nil {
		return nil, err
	}
	return h.storeLink(ln, name), nil
}

// queryTCX lists all tcx programs on a hook; kernels before 6.6 have none.
func queryTCX(index int, hook ebpf.AttachType) (*link.QueryResult, error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook})
	for tries := 10; tries > 0 && errors.Is(err, unix.ENOSPC); tries-- {
		// Another program was attached between counting and listing.
		got, err = link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook})
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOENT) {
		return &link.QueryResult{}, nil
	}
	return got, err
}
