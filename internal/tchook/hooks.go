package tchook

import (
	"errors"
	"log/slog"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"nicteam/internal/rtnl"
)

// Link is the NIC whose hooks are meant.
type Link struct {
	Name  string
	Index int
}

// A Journal records what outlives the process on one link. Each method returns once the record is on disk; what it says is
// done only then.
type Journal interface {
	Recorded() Recorded
	Isolating(m Method, clsact bool) error // clsact: it was not there before
	Admitted() error
	Attaching(hook string, clsact bool) error
	Detached(hook string) error
}

// Recorded is what the records of a link say.
type Recorded struct {
	Method Method   // how it is isolated, "" for not at all or by tcx
	Clsact bool     // clsact was not there before
	Hooks  []string // "ingress", "egress": where a program is attached by a filter
}

// Options of Hooks.
type Options struct {
	Team   string
	NoTCX  bool   // tests: do as on kernels before 6.6
	Method Method // tests: only this way of isolating and attaching
}

// Hooks are the hooks of NICs as one process holds them. The caller sees to it that one method runs at a time.
type Hooks struct {
	Options
	conn *rtnl.Conn
	log  *slog.Logger

	isolated map[int]*isolation // by ifindex
	attached map[place]*Attached
}

// New returns Hooks that hold nothing yet.
func New(conn *rtnl.Conn, log *slog.Logger, o Options) *Hooks {
	return &Hooks{Options: o, conn: conn, log: log, isolated: map[int]*isolation{}, attached: map[place]*Attached{}}
}

// Close ends what is there by tcx.
func (h *Hooks) Close() {
	for _, i := range h.isolated {
		i.close()
	}
	clear(h.isolated)
	for _, a := range h.attached {
		a.close()
	}
	clear(h.attached)
}

// Attached reports whether this process has a program on any hook, the isolation left out.
func (h *Hooks) Attached() bool { return len(h.attached) > 0 }

// EndGone takes programs off NICs that have left for another network namespace: those by tcx have gone along and would
// keep its frames from whoever has the NIC now. Filters stay behind by themselves.
func (h *Hooks) EndGone() {
	gone := func(l link.Link, index int) bool {
		if l == nil {
			return false
		}
		if !onNIC(l, index) {
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
			a.close()
			delete(h.attached, at)
		}
	}
}

// Revision changes with the programs by tcx on the ingress of links.
func Revision(indices []int) (sum uint64) {
	for _, i := range indices {
		if there, err := queryTCX(i, ebpf.AttachTCXIngress); err == nil {
			sum += there.Revision
		}
	}
	return sum
}
