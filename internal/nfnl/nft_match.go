// SPDX-License-Identifier: MIT

package nfnl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Keys of meta that x/sys does not name.
const (
	nftMetaIIFKind = 26 // NFT_META_IIFKIND
	nftMetaOIFKind = 27 // NFT_META_OIFKIND
)

const (
	nameSize = unix.IFNAMSIZ
	etherARP = unix.ARPHRD_ETHER
)

// loadedValue is a property of the interface in a register of nftables.
type loadedValue struct {
	value []byte
	word  string // nft's keyword
	by    string // "name", "index", "": how to show what it is compared with
}

// nameBytes is an interface name in a register.
func nameBytes(s string) []byte { return append([]byte(s), make([]byte, max(0, nameSize-len(s)))...) }

func word32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// fib evaluates the expression fib: the interface of the route to the packet's source (fib saddr) or destination (fib
// daddr). Other results, such as the type of an address, do not depend on the interface.
func (f Iface) fib(d rtnl.Object, dir Direction) (loadedValue, bool) {
	const byDestination, present = 1 << 1, 1 << 5 // NFTA_FIB_F_DADDR, NFTA_FIB_F_PRESENT
	flags := d.GetBE32(unix.NFTA_FIB_FLAGS)
	if flags&present != 0 || (flags&byDestination != 0) != (dir == Outgoing) {
		return loadedValue{}, false
	}
	word := [...]string{"fib saddr ", "fib daddr "}[dir]
	switch d.GetBE32(unix.NFTA_FIB_RESULT) {
	case unix.NFT_FIB_RESULT_OIF:
		return loadedValue{word32(f.Index), word + "oif", "index"}, true
	case unix.NFT_FIB_RESULT_OIFNAME:
		return loadedValue{nameBytes(f.Name), word + "oifname", "name"}, true
	}
	return loadedValue{}, false
}

// meta evaluates the expression meta for the interface.
func (f Iface) meta(d rtnl.Object, dir Direction) (loadedValue, bool) {
	prefix := "iif"
	if dir == Outgoing {
		prefix = "oif"
	}
	switch d.GetBE32(unix.NFTA_META_KEY) {
	case [...]uint32{unix.NFT_META_IIF, unix.NFT_META_OIF}[dir]:
		return loadedValue{word32(f.Index), prefix, "index"}, true
	case [...]uint32{unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME}[dir]:
		return loadedValue{nameBytes(f.Name), prefix + "name", "name"}, true
	case [...]uint32{unix.NFT_META_IIFTYPE, unix.NFT_META_OIFTYPE}[dir]:
		return loadedValue{binary.NativeEndian.AppendUint16(nil, etherARP), prefix + "type", ""}, true
	case [...]uint32{unix.NFT_META_IIFGROUP, unix.NFT_META_OIFGROUP}[dir]:
		return loadedValue{word32(f.Group), prefix + "group", "index"}, true
	case [...]uint32{nftMetaIIFKind, nftMetaOIFKind}[dir]:
		return loadedValue{nameBytes(f.Kind), prefix + "kind", "name"}, true
	}
	return loadedValue{}, false
}

// Effects returns the rules that match the interface in this direction, of those that depend on it.
func (t *Ruleset) Effects(f Iface, dir Direction) (list []Effect) {
	for _, r := range t.rules {
		if strings.HasPrefix(r.table, TablePrefix) {
			continue
		}
		v := ruleEval{t: t, r: r, f: f, dir: dir, registers: map[uint32]loadedValue{}}
		if v.run() && v.asked {
			chain := fmt.Sprintf("%s %s, chain %s", nftFamilies[r.family], r.table, r.chain)
			list = append(list, Effect{chain, v.key.String(), strings.Join(v.text, " "), v.named})
		}
	}
	return list
}

// ruleEval evaluates a rule as far as it depends on the interface. All other expressions become part of key.
type ruleEval struct {
	t         *Ruleset
	r         rule
	f         Iface
	dir       Direction
	registers map[uint32]loadedValue // by first 32-bit register
	asked     bool
	named     bool
	key       strings.Builder
	text      []string
}

// register returns the first 32-bit register of a netlink register number: 1 to 4 have 16 bytes (NFT_REG_1), 8 and
// above 4 bytes (NFT_REG32_00).
func register(n uint32) uint32 {
	if n < 8 {
		return n * 4
	}
	return n - 4
}

// destinations maps expressions to the attribute with their destination register.
var destinations = map[string]uint16{
	"meta": 1, "payload": 1, "ct": 1, "immediate": 1, "exthdr": 1, "fib": 1, "rt": 1, "osf": 1, "xfrm": 1, "numgen": 1,
	"bitwise": 2, "byteorder": 2, "hash": 2, "socket": 2, "tunnel": 2, "lookup": 3,
}

// stateful expressions contain counters.
var stateful = []string{"counter", "quota", "last"}

// run reports whether the rule can match packets of the interface.
func (v *ruleEval) run() bool {
	for _, e := range v.r.exprs {
		if slices.Contains(stateful, e.name) {
			continue
		}
		known, applies := v.step(e)
		if !applies {
			return false
		}
		if known {
			continue
		}
		if n := e.data.GetBE32(destinations[e.name]); destinations[e.name] != 0 && n != 0 {
			delete(v.registers, register(n))
		}
		v.other(e)
	}
	return true
}

// step evaluates an expression that depends on the interface; known is false for others.
func (v *ruleEval) step(e expr) (known, applies bool) {
	d := e.data
	switch e.name {
	case "meta":
		l, ok := v.f.meta(d, v.dir)
		if to := d.GetBE32(unix.NFTA_META_DREG); ok && to != 0 {
			v.registers[register(to)] = l
			return true, true
		}
	case "fib":
		if l, ok := v.f.fib(d, v.dir); ok {
			v.registers[register(d.GetBE32(unix.NFTA_FIB_DREG))] = l
			return true, true
		}
	case "bitwise":
		l, ok := v.registers[register(d.GetBE32(unix.NFTA_BITWISE_SREG))]
		mask := d.Nest(unix.NFTA_BITWISE_MASK).Get(unix.NFTA_DATA_VALUE)
		if ok && len(mask) > 0 {
			l.value = slices.Clone(l.value)
			for i := range l.value[:min(len(l.value), len(mask))] {
				l.value[i] &= mask[i]
			}
			v.registers[register(d.GetBE32(unix.NFTA_BITWISE_DREG))] = l
			return true, true
		}
	case "byteorder":
		if l, ok := v.registers[register(d.GetBE32(unix.NFTA_BYTEORDER_SREG))]; ok {
			l.value = slices.Clone(l.value)
			if rtnl.LittleEndian && len(l.value) <= 4 {
				slices.Reverse(l.value)
			}
			v.registers[register(d.GetBE32(unix.NFTA_BYTEORDER_DREG))] = l
			return true, true
		}
	case "cmp":
		return v.compare(d)
	case "range":
		l, ok := v.registers[register(d.GetBE32(1))] // NFTA_RANGE_SREG
		from := d.Nest(unix.NFTA_RANGE_FROM_DATA).Get(unix.NFTA_DATA_VALUE)
		to := d.Nest(unix.NFTA_RANGE_TO_DATA).Get(unix.NFTA_DATA_VALUE)
		if ok && len(from) > 0 && len(to) > 0 {
			v.asked = true
			v.text = append(v.text, l.word+" in a range")
			in := compareBytes(l.value, from) >= 0 && compareBytes(l.value, to) <= 0
			return true, in == (d.GetBE32(2) == unix.NFT_CMP_EQ) // NFTA_RANGE_OP
		}
	case "lookup":
		return v.lookup(d)
	}
	return false, true
}

func (v *ruleEval) compare(d rtnl.Object) (known, applies bool) {
	l, ok := v.registers[register(d.GetBE32(unix.NFTA_CMP_SREG))]
	want := d.Nest(unix.NFTA_CMP_DATA).Get(unix.NFTA_DATA_VALUE)
	if !ok || len(want) == 0 {
		return false, true
	}
	v.asked = true
	c := compareBytes(l.value, want)
	op, holds := "", false
	switch d.GetBE32(unix.NFTA_CMP_OP) {
	case unix.NFT_CMP_EQ:
		holds = c == 0
		v.named = v.named || l.by == "index" || bytes.IndexByte(want, 0) >= 0 || len(want) == nameSize
	case unix.NFT_CMP_NEQ:
		op, holds = "!= ", c != 0
	case unix.NFT_CMP_LT:
		op, holds = "< ", c < 0
	case unix.NFT_CMP_LTE:
		op, holds = "<= ", c <= 0
	case unix.NFT_CMP_GT:
		op, holds = "> ", c > 0
	default:
		op, holds = ">= ", c >= 0
	}
	v.text = append(v.text, l.word+" "+op+l.show(want))
	return true, holds
}

// compareBytes compares as many bytes as the rule has: so nftables writes wildcards.
func compareBytes(have, want []byte) int {
	return bytes.Compare(have[:min(len(have), len(want))], want)
}

func (l loadedValue) show(want []byte) string {
	switch {
	case l.by == "name" && bytes.IndexByte(want, 0) < 0 && len(want) < nameSize:
		return fmt.Sprintf("%q", string(want)+"*")
	case l.by == "name":
		return fmt.Sprintf("%q", unix.ByteSliceToString(want))
	case l.by == "index" && len(want) == 4:
		return fmt.Sprint(binary.NativeEndian.Uint32(want))
	}
	return fmt.Sprintf("%#x", want)
}

// lookup evaluates a set or map, whose key may have more fields than the interface.
func (v *ruleEval) lookup(d rtnl.Object) (known, applies bool) {
	name := unix.ByteSliceToString(d.Get(unix.NFTA_LOOKUP_SET))
	s := v.t.set(v.r.family, v.r.table, name)
	if s == nil {
		return false, true
	}
	first := register(d.GetBE32(unix.NFTA_LOOKUP_SREG))
	found := s.elements
	var words []string
	// Last field first: cutting it out of the keys does not move the others.
	for _, r := range slices.Backward(slices.Sorted(maps.Keys(v.registers))) {
		if r < first {
			continue
		}
		l := v.registers[r]
		offset := int(r-first) * 4
		if offset > 0 && !s.holds(offset) {
			continue
		}
		found = s.matching(found, offset, l.value)
		words = append(words, l.word)
	}
	if len(words) == 0 {
		return false, true
	}
	v.asked = true
	op, inverted := "", d.GetBE32(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0
	if inverted {
		op = "!= "
	}
	shown := "@" + name
	if s.flags&unix.NFT_SET_ANONYMOUS != 0 {
		shown = "{ … }"
	}
	slices.Sort(words)
	v.text = append(v.text, strings.Join(words, " . ")+" "+op+shown)
	if inverted || slices.ContainsFunc(found, func(e element) bool { return len(e.key) > 0 || len(e.data) > 0 }) {
		fmt.Fprintf(&v.key, "lookup %d %v %s;", d.GetBE32(unix.NFTA_LOOKUP_DREG), inverted, digest(found))
	} // else: as if the rule had this one name
	if !inverted {
		v.named = v.named || s.flags&unix.NFT_SET_INTERVAL == 0
		return true, len(found) > 0
	}
	whole := len(found) > 0 && len(found[0].key) == 0 // no other field is left
	return true, !whole
}

// holds reports whether the keys are longer than offset.
func (s *set) holds(offset int) bool {
	return slices.ContainsFunc(s.elements, func(e element) bool { return len(e.key) > offset })
}

// matching returns the elements with this value at an offset of their key, with the field cut out.
func (s *set) matching(list []element, offset int, value []byte) (found []element) {
	if s.flags&unix.NFT_SET_INTERVAL != 0 && offset == 0 &&
		!slices.ContainsFunc(list, func(e element) bool { return len(e.end) > 0 }) {
		return inInterval(list, value)
	}
	for _, e := range list {
		end := offset + len(value)
		if len(e.key) < end {
			continue
		}
		in := bytes.Equal(e.key[offset:end], value)
		if len(e.end) >= end {
			in = bytes.Compare(e.key[offset:end], value) <= 0 && bytes.Compare(value, e.end[offset:end]) <= 0
		}
		if in {
			rest := element{key: slices.Concat(e.key[:offset], e.key[min(rtnl.Align(end), len(e.key)):]), data: e.data}
			if len(e.end) >= end {
				rest.end = slices.Concat(e.end[:offset], e.end[min(rtnl.Align(end), len(e.end)):])
			}
			found = append(found, rest)
		}
	}
	return found
}

// inInterval returns the interval that contains value, in a set of one field. An interval is a first key and the first
// key behind it.
func inInterval(list []element, value []byte) []element {
	var at *element
	for i, e := range list {
		if bytes.Compare(e.key, value) > 0 {
			continue
		}
		if at == nil || bytes.Compare(e.key, at.key) > 0 || bytes.Equal(e.key, at.key) && at.closes {
			at = &list[i]
		}
	}
	if at == nil || at.closes {
		return nil
	}
	return []element{{data: at.data}}
}

func digest(list []element) string {
	var lines []string
	for _, e := range list {
		lines = append(lines, fmt.Sprintf("%x-%x-%v:%x", e.key, e.end, e.closes, e.data))
	}
	slices.Sort(lines)
	return strings.Join(lines, ",")
}

// other adds an expression that does not depend on the interface.
func (v *ruleEval) other(e expr) {
	raw := e.raw
	if e.name == "lookup" {
		name := unix.ByteSliceToString(e.data.Get(unix.NFTA_LOOKUP_SET))
		if s := v.t.sets[setName{v.r.family, v.r.table, name}]; s != nil && s.flags&unix.NFT_SET_ANONYMOUS != 0 {
			d := e.data
			d.Attrs = slices.Clone(d.Attrs)
			d.Drop(unix.NFTA_LOOKUP_SET, unix.NFTA_LOOKUP_SET_ID)
			raw = append(d.Serialize(), digest(v.t.set(v.r.family, v.r.table, name).elements)...)
		}
	}
	fmt.Fprintf(&v.key, "%s %x;", e.name, raw)
	switch e.name {
	case "immediate":
		if w := nftVerdict(e.data.Nest(unix.NFTA_IMMEDIATE_DATA).Nest(unix.NFTA_DATA_VERDICT)); w != "" {
			v.text = append(v.text, w)
		}
	case "masq":
		v.text = append(v.text, "masquerade")
	case "target", "match":
		v.text = append(v.text, strings.ToLower(e.data.Text(1))) // NFTA_TARGET_NAME, NFTA_MATCH_NAME
	case "nat", "reject", "queue", "redir", "tproxy", "dup", "fwd", "log":
		v.text = append(v.text, e.name)
	case "flow_offload":
		v.text = append(v.text, "flow add")
	default:
		if n := len(v.text); n > 0 && v.text[n-1] != "…" {
			v.text = append(v.text, "…")
		}
	}
}

// nftVerdict returns a verdict as nft writes it.
func nftVerdict(o rtnl.Object) string {
	if len(o.Attrs) == 0 {
		return ""
	}
	chain := o.Text(unix.NFTA_VERDICT_CHAIN)
	switch int32(o.GetBE32(unix.NFTA_VERDICT_CODE)) {
	case 0:
		return "drop"
	case 1:
		return "accept"
	case unix.NFT_JUMP:
		return "jump " + chain
	case unix.NFT_GOTO:
		return "goto " + chain
	case -5: // NFT_RETURN
		return "return"
	}
	return "…"
}
