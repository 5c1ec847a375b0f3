package host

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// belongings are what a link has besides its own settings.
type belongings struct {
	Addresses  []object `json:"addresses,omitempty"`
	Routes     []object `json:"routes,omitempty"`
	Rules      []object `json:"rules,omitempty"`
	Neighbours []object `json:"neighbours,omitempty"`
	Proxies    []object `json:"proxies,omitempty"`
}

func (b *belongings) empty() bool {
	return len(b.Addresses)+len(b.Routes)+len(b.Rules)+len(b.Neighbours)+len(b.Proxies) == 0
}

// wellFormed reports whether every object has the header of its kind.
func (b *belongings) wellFormed() bool {
	long := func(n int) func(object) bool { return func(o object) bool { return len(o.head) != n } }
	return !slices.ContainsFunc(b.Addresses, long(addressHead)) &&
		!slices.ContainsFunc(slices.Concat(b.Routes, b.Rules, b.Neighbours, b.Proxies), long(otherHead))
}

// except is a list less those that are the same as one of gone.
func except(list, gone []object, id func(object) string) []object {
	if len(gone) == 0 {
		return slices.Clone(list)
	}
	ids := make(map[string]bool, len(gone))
	for _, o := range gone {
		ids[id(o)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(o object) bool { return ids[id(o)] })
}

// with is a list with o in place of the one that is the same, or at the end.
func with(list []object, o object, id func(object) string) []object {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, func(p object) bool { return id(p) == id(o) }); i >= 0 {
		list[i] = o
		return list
	}
	return append(list, o)
}

// What is the same for sameAddress, sameRoute, sameNeighbour and sameRule has one id.

func addressID(a object) string {
	if a.family() == unix.AF_INET6 {
		return string(addressPrefix(a).Addr().AsSlice())
	}
	return fmt.Sprintf("%v %x", addressPrefix(a), peer(a))
}

func routeID(r object) string {
	k := keyOf(r)
	b := []byte{k.family, k.dstLen, k.srcLen, k.tos, r.head[rtType], r.head[rtProto]}
	b = binary.NativeEndian.AppendUint32(b, k.table)
	b = binary.NativeEndian.AppendUint32(b, k.metric)
	b = append(append(b, k.dst...), k.src...)
	for _, kind := range []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_METRICS} {
		v := r.get(kind)
		b = append(append(b, byte(len(v))), v...)
	}
	for _, n := range nextHops(r.get(unix.RTA_MULTIPATH)) {
		n = slices.Clone(n)
		n[2] = 0 // the flags say how the hop fares
		b = append(b, n...)
	}
	return string(b)
}

func neighbourID(n object) string { return string(n.get(unix.NDA_DST)) }

func ruleID(r object) string { return string(ruled(r).Serialize()) }

// take changes what a link had at a time (CLOCK_BOOTTIME) by one event about it. Routes are those that were set by hand,
// neighbours permanent ones.
func (b *belongings) take(m message, index int, at int64) {
	head, id := otherHead, routeID
	switch m.kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		head, id = addressHead, addressID
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		id = neighbourID
	}
	o, err := parseObject(m.body, head)
	if err != nil {
		return
	}
	one := []object{o}
	switch m.kind {
	case unix.RTM_NEWADDR:
		b.Addresses = with(b.Addresses, asOf(o, bootTime(), at), id)
	case unix.RTM_DELADDR:
		b.Addresses = except(b.Addresses, one, id)
	case unix.RTM_NEWROUTE:
		if m.flags&unix.NLM_F_REPLACE != 0 {
			if i := slices.IndexFunc(b.Routes, func(r object) bool { return keyOf(r) == keyOf(o) }); i >= 0 {
				b.Routes = slices.Delete(slices.Clone(b.Routes), i, i+1)
			}
		}
		if handSet(o) && slices.Contains(routeLinks(o), index) {
			b.Routes = with(b.Routes, o, id)
		}
	case unix.RTM_DELROUTE:
		b.Routes = except(b.Routes, one, id)
	case unix.RTM_NEWNEIGH:
		if permanent(o) {
			b.Neighbours = with(b.Neighbours, o, id)
		}
	case unix.RTM_DELNEIGH:
		b.Neighbours = except(b.Neighbours, one, id)
	}
}

// belongings reads what a link has: addresses, the routes that were set by hand, permanent neighbours,
// proxies.
func (h *Host) belongings(index int) (b belongings, err error) {
	routes, err := h.routesBy(index)
	if err != nil {
		return b, err
	}
	// After the routes: of an address that comes meanwhile the connected route is not there yet.
	if b.Addresses, err = h.addresses(index); err != nil {
		return b, err
	}
	if b.Routes, err = h.set(routes, b.Addresses); err != nil {
		return b, err
	}
	if b.Neighbours, err = h.neighboursOf(index, nil); err != nil {
		return b, err
	}
	b.Proxies, err = h.proxiesOf(index)
	return b, err
}

// routesBy lists the routes that name a link. The kernel looks through its tables itself, so that a host with very
// many routes is not asked for all of them; kernels before 4.20 give all.
func (h *Host) routesBy(index int) ([]object, error) {
	var list []object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := object{head: make([]byte, otherHead)}
		ask.head[0] = family
		ask.set(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
		all, err := h.strict.list(unix.RTM_GETROUTE, ask, otherHead)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.family() == family && !kernelKeeps(r) && slices.Contains(routeLinks(r), index) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}
