package host

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// object is an address, route, neighbour or rule as rtnetlink prints it: the fixed header of its kind
// (ifaddrmsg, rtmsg, ndmsg, fib_rule_hdr) and attributes.
type object struct {
	head  []byte
	attrs []attribute
}

type attribute struct {
	kind  uint16
	value []byte
}

// The lengths of the headers.
const (
	addressHead = 8  // struct ifaddrmsg
	otherHead   = 12 // struct rtmsg, ndmsg, fib_rule_hdr
)

const attributeHead = 4

var errObject = errors.New("malformed rtnetlink object")

// parseObject reads a message body; the result shares nothing with b.
func parseObject(b []byte, head int) (object, error) {
	if len(b) < head {
		return object{}, errObject
	}
	b = slices.Clone(b)
	o := object{head: b[:head:head]}
	var err error
	o.attrs, err = parseAttributes(b[head:])
	return o, err
}

func parseAttributes(b []byte) ([]attribute, error) {
	var list []attribute
	for len(b) >= attributeHead {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attributeHead || n > len(b) {
			return nil, errObject
		}
		list = append(list, attribute{binary.NativeEndian.Uint16(b[2:]), b[attributeHead:n:n]})
		b = b[min(align(n), len(b)):]
	}
	return list, nil
}

func align(n int) int { return (n + 3) &^ 3 }

func appendAttributes(b []byte, list []attribute) []byte {
	for _, a := range list {
		b = binary.NativeEndian.AppendUint16(b, uint16(attributeHead+len(a.value)))
		b = binary.NativeEndian.AppendUint16(b, a.kind)
		b = append(b, a.value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// Len and Serialize make an object a nl.NetlinkRequestData.
func (o object) Len() int { return len(o.Serialize()) }

// Serialize returns the message body.
func (o object) Serialize() []byte { return appendAttributes(slices.Clone(o.head), o.attrs) }

func (o object) clone() object {
	c := object{head: slices.Clone(o.head), attrs: slices.Clone(o.attrs)}
	for i := range c.attrs {
		c.attrs[i].value = slices.Clone(c.attrs[i].value)
	}
	return c
}

// nested flags of an attribute's kind (NLA_F_NESTED, NLA_F_NET_BYTEORDER) are not part of its name.
const kindMask = 0x3fff

func (o object) get(kind uint16) []byte {
	for _, a := range o.attrs {
		if a.kind&kindMask == kind {
			return a.value
		}
	}
	return nil
}

func (o object) get32(kind uint16) uint32 {
	if v := o.get(kind); len(v) >= 4 {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

// set replaces an attribute in place or adds it at the end.
func (o *object) set(kind uint16, value []byte) {
	for i, a := range o.attrs {
		if a.kind&kindMask == kind {
			o.attrs[i].value = value
			return
		}
	}
	o.attrs = append(o.attrs, attribute{kind, value})
}

func (o *object) set32(kind uint16, v uint32) {
	o.set(kind, binary.NativeEndian.AppendUint32(nil, v))
}

func (o *object) drop(kinds ...uint16) {
	o.attrs = slices.DeleteFunc(o.attrs, func(a attribute) bool { return slices.Contains(kinds, a.kind&kindMask) })
}

func (o object) family() byte { return o.head[0] }

// index is the ifindex in the header of a link, an address or a neighbour.
func (o object) index() int { return int(int32(binary.NativeEndian.Uint32(o.head[4:]))) }

func (o object) setIndex(index int) { binary.NativeEndian.PutUint32(o.head[4:], uint32(index)) }

func (o object) equal(p object) bool { return bytes.Equal(o.Serialize(), p.Serialize()) }

// objectJSON is how an object stands in the journal.
type objectJSON struct {
	Head  []byte `json:"h"`
	Attrs []byte `json:"a"`
}

// MarshalJSON writes header and attributes in base64.
func (o object) MarshalJSON() ([]byte, error) {
	return json.Marshal(objectJSON{o.head, appendAttributes(nil, o.attrs)})
}

// UnmarshalJSON reads what MarshalJSON wrote and refuses what is no object of the four kinds.
func (o *object) UnmarshalJSON(b []byte) error {
	var j objectJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if len(j.Head) != addressHead && len(j.Head) != otherHead {
		return fmt.Errorf("header of %d bytes: %w", len(j.Head), errObject)
	}
	attrs, err := parseAttributes(j.Attrs)
	if err != nil {
		return err
	}
	o.head, o.attrs = j.Head, attrs
	return nil
}

// littleEndian tells the order of bytes of this machine.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func inside(b []byte) object {
	attrs, err := parseAttributes(b)
	if err != nil {
		return object{}
	}
	return object{attrs: attrs}
}

// nested is inside for whoever must know that there is nothing malformed, or nothing at all.
func nested(b []byte) (object, error) {
	if b == nil {
		return object{}, errObject
	}
	return parseObject(b, 0)
}

// nest reads an attribute that consists of attributes; a malformed one has none.
func (o object) nest(kind uint16) object { return inside(o.get(kind)) }

// big32 is a number in network byte order, 0 when it is not there.
func (o object) big32(kind uint16) uint32 {
	if v := o.get(kind); len(v) >= 4 {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// text is a string with or without its NUL.
func (o object) text(kind uint16) string { return unix.ByteSliceToString(o.get(kind)) }

// zeroTerminated is a string as netlink wants it.
func zeroTerminated(s string) []byte { return append([]byte(s), 0) }

// copy takes attributes over that from has.
func (o *object) copy(from object, kinds ...uint16) {
	for _, a := range from.attrs {
		if slices.Contains(kinds, a.kind&kindMask) {
			o.attrs = append(o.attrs, a)
		}
	}
}

func union(a, b []object, same func(object, object) bool) []object {
	out := append([]object(nil), a...)
	for _, o := range b {
		has := false
		for _, p := range a {
			has = has || same(o, p)
		}
		if !has {
			out = append(out, o)
		}
	}
	return out
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
