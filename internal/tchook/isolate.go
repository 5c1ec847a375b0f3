// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/descriptors"
	"nicteam/internal/rtnl"
)

// Method is how a member's ingress is hidden from the host's IP stack. All methods come after ETH_P_ALL sockets in
// __netif_receive_skb_core, so the data path still sees every frame.
type Method string

// Best first. Only tcx ends with the process; the others are journalled.
const (
	ByTCX    Method = "tcx"    // ≥ 6.6
	ByClsact Method = "clsact" // ≥ 4.5, with cls_bpf
	ByNft    Method = "nft"    // netdev family, program nft
)

// Methods lists them, best first.
var Methods = []Method{ByTCX, ByClsact, ByNft}

// isolation is a member's isolation by this process.
type isolation struct {
	method Method
	link   *tcxLink
	wanted bool // Isolate was called
	open   bool // Open was: it lets all pass
}

func (i *isolation) close() {
	i.link.end()
}

// holds reports whether the program is still on the NIC.
func (i *isolation) holds(index int) bool {
	if i.link == nil {
		return false // checking costs as much as repeating
	}
	return i.link.on(index)
}

// Isolate hides a link's received frames from the host's IP stack, except the NIC's own protocols (bpf/isolate.c). The
// member's packet socket must be open before. It may be repeated. journal returns the link's journal; filters and
// chains need it.
func (h *Hooks) Isolate(l Link, journal func() (Journal, error)) error {
	if h.Isolated(l.Index) || h.keepIsolation(l) {
		return nil
	}
	h.endIsolation(l.Index)
	h.AwaitDetached()
	var errs []error
	for _, m := range Methods {
		if h.Method != "" && m != h.Method {
			continue
		}
		if a := h.attached[hookPoint{l.Index, ebpf.AttachTCXIngress}]; m == ByTCX && a != nil && a.link == nil {
			continue // tcx runs before filters, and our filter must see the frames first
		}
		i, err := h.isolate(l, m, journal)
		if err == nil {
			h.isolated[l.Index] = i
			h.log.Debug("isolated", "member", l.Name, "by", m)
			return nil
		}
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		errs = append(errs, fmt.Errorf("by %s: %w", m, err))
	}
	return fmt.Errorf("isolate NIC %s: %w", l.Name, errors.Join(errs...))
}

// keepIsolation makes the isolation by the process before that of this process, and reports whether there is one.
func (h *Hooks) keepIsolation(l Link) bool {
	i := h.isolated[l.Index]
	if i == nil || !i.holds(l.Index) {
		return false
	}
	i.wanted = true
	if a := h.attached[hookPoint{l.Index, ebpf.AttachTCXIngress}]; i.link.inherited && a != nil && !h.shares(a) {
		h.isolateAgain(i, l.Index) // the data path's program of that process has a link of its own
	}
	return true
}

func (h *Hooks) isolate(l Link, by Method, journal func() (Journal, error)) (*isolation, error) {
	if by == ByTCX {
		return h.isolateTCX(l)
	}
	j, err := journal()
	if err != nil {
		return nil, err
	}
	if by == ByClsact {
		err = h.isolateClsact(l, j)
	} else {
		err = h.isolateNft(l, j)
	}
	if err != nil && !rtnl.IsInjectedCrash(err) {
		err = errors.Join(err, h.Unisolate(l, j))
	}
	return &isolation{method: by, wanted: true}, err
}

// Isolated reports whether a program of this process isolates a link by tcx. For the other methods Isolate is the
// check.
func (h *Hooks) Isolated(index int) bool {
	i := h.isolated[index]
	return i != nil && i.holds(index) && i.wanted
}

// EndIsolation ends isolation by tcx, and with it a program in its place. The link may be gone. After Open the program
// is detached a moment later, see AwaitDetached.
func (h *Hooks) EndIsolation(index int) {
	h.dropPrepared(index)
	h.endIsolation(index)
}

func (h *Hooks) endIsolation(index int) {
	i := h.isolated[index]
	switch {
	case i == nil:
		return
	case i.open:
		h.detachLater(i.link)
	default:
		i.close()
	}
	delete(h.isolated, index)
}

// Unisolate removes a journalled isolation.
func (h *Hooks) Unisolate(l Link, j Journal) error {
	was := j.Recorded()
	var err error
	switch was.Method {
	case ByClsact:
		err = h.dropFilter(l, isolateFilter, was.Clsact)
	case ByNft:
		err = h.unisolateNft(l.Index)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("end isolation of NIC %s: %w", l.Name, err)
	}
	return j.Unisolated()
}

// ClearUnrecorded removes isolation and receive filters that no record mentions. nft: also a chain of nft.
func (h *Hooks) ClearUnrecorded(l Link, clsact, nft bool) error {
	var errs []error
	for _, f := range []filter{receiveFilter, isolateFilter} {
		if err := h.dropFilter(l, f, clsact); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	if _, err := exec.LookPath("nft"); err == nil && nft {
		errs = append(errs, h.unisolateNft(l.Index))
	}
	return errors.Join(errs...)
}

// isolateTCX drops before programs of others, so that they redirect nothing that belongs to the team. Only our data
// path comes first.
func (h *Hooks) isolateTCX(l Link) (*isolation, error) {
	if h.share(l) {
		return h.isolated[l.Index], nil
	}
	p, err := h.isolation()
	if err != nil {
		return nil, err
	}
	where := link.Head()
	if a := h.attached[hookPoint{l.Index, ebpf.AttachTCXIngress}]; a != nil && a.link != nil && a.link.on(l.Index) {
		where = link.AfterLink(a.link.Link)
	}
	if there := h.takePrepared(l.Index, p); there != nil {
		return &isolation{method: ByTCX, link: h.storeLink(there, descriptors.Of(descriptors.Isolation, l.Index)),
			wanted: true}, nil
	}
	tcx, err := h.attachTCX(l, ebpf.AttachTCXIngress, p, where, 0,
		descriptors.Of(descriptors.Isolation, l.Index))
	if err != nil {
		return nil, err
	}
	return &isolation{method: ByTCX, link: tcx, wanted: true}, nil
}

// isolateClsact drops by a filter, which outlives the process.
func (h *Hooks) isolateClsact(l Link, j Journal) error {
	p, err := h.isolation()
	if err != nil {
		return err
	}
	return h.addFilter(l, isolateFilter, p, func(clsact bool) error { return j.Isolating(ByClsact, clsact) })
}

// CanIsolate returns why the isolation program cannot be loaded, nil if it can.
func CanIsolate() error {
	p, err := loadIsolation()
	if err != nil {
		return err
	}
	return p.Close()
}
