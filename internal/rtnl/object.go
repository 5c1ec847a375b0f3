// SPDX-License-Identifier: MIT

package rtnl

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Object is an address, route, neighbour, rule or link as rtnetlink prints it: the fixed header of its kind (ifaddrmsg,
// rtmsg, ndmsg, fib_rule_hdr, ifinfomsg) and its attributes.
type Object struct {
	Head  []byte
	Attrs []Attribute
}

type Attribute struct {
	Kind  uint16
	Value []byte
}

// Attr makes an attribute.
func Attr(kind uint16, value []byte) Attribute { return Attribute{kind, value} }

// Lengths of the headers.
const (
	AddressHeaderLen = 8  // struct ifaddrmsg
	HeaderLen        = 12 // struct rtmsg, ndmsg, fib_rule_hdr
)

const attributeHead = 4

var ErrMalformed = errors.New("malformed rtnetlink object")

// ParseObject reads a message body; the result shares nothing with b.
func ParseObject(b []byte, head int) (Object, error) {
	if len(b) < head {
		return Object{}, ErrMalformed
	}
	b = slices.Clone(b)
	o := Object{Head: b[:head:head]}
	var err error
	o.Attrs, err = parseAttributes(b[head:])
	return o, err
}

func parseAttributes(b []byte) ([]Attribute, error) {
	var list []Attribute
	for len(b) >= attributeHead {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attributeHead || n > len(b) {
			return nil, ErrMalformed
		}
		list = append(list, Attribute{binary.NativeEndian.Uint16(b[2:]), b[attributeHead:n:n]})
		b = b[min(Align(n), len(b)):]
	}
	return list, nil
}

func Align(n int) int { return (n + 3) &^ 3 }

func AppendAttributes(b []byte, list []Attribute) []byte {
	for _, a := range list {
		b = binary.NativeEndian.AppendUint16(b, uint16(attributeHead+len(a.Value)))
		b = binary.NativeEndian.AppendUint16(b, a.Kind)
		b = append(b, a.Value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// Len and Serialize implement nl.NetlinkRequestData.
func (o Object) Len() int { return len(o.Serialize()) }

// Serialize returns the message body.
func (o Object) Serialize() []byte { return AppendAttributes(slices.Clone(o.Head), o.Attrs) }

func (o Object) Clone() Object {
	c := Object{Head: slices.Clone(o.Head), Attrs: slices.Clone(o.Attrs)}
	for i := range c.Attrs {
		c.Attrs[i].Value = slices.Clone(c.Attrs[i].Value)
	}
	return c
}

// KindMask removes NLA_F_NESTED and NLA_F_NET_BYTEORDER from an attribute's kind.
const KindMask = 0x3fff

func (o Object) Get(kind uint16) []byte {
	for _, a := range o.Attrs {
		if a.Kind&KindMask == kind {
			return a.Value
		}
	}
	return nil
}

func (o Object) Get32(kind uint16) uint32 {
	if v := o.Get(kind); len(v) >= 4 {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

// Set replaces an attribute in place or adds it at the end.
func (o *Object) Set(kind uint16, value []byte) {
	for i, a := range o.Attrs {
		if a.Kind&KindMask == kind {
			o.Attrs[i].Value = value
			return
		}
	}
	o.Attrs = append(o.Attrs, Attribute{kind, value})
}

func (o *Object) Set32(kind uint16, v uint32) {
	o.Set(kind, binary.NativeEndian.AppendUint32(nil, v))
}

func (o *Object) Drop(kinds ...uint16) {
	o.Attrs = slices.DeleteFunc(o.Attrs, func(a Attribute) bool { return slices.Contains(kinds, a.Kind&KindMask) })
}

func (o Object) Family() byte { return o.Head[0] }

// Index returns the ifindex in the header of a link, an address or a neighbour.
func (o Object) Index() int { return int(int32(binary.NativeEndian.Uint32(o.Head[4:]))) }

func (o Object) SetIndex(index int) { binary.NativeEndian.PutUint32(o.Head[4:], uint32(index)) }

func (o Object) Equal(p Object) bool { return bytes.Equal(o.Serialize(), p.Serialize()) }

// objectJSON is an object as the journal has it.
type objectJSON struct {
	Head  []byte `json:"h"`
	Attrs []byte `json:"a"`
}

// MarshalJSON writes header and attributes in base64.
func (o Object) MarshalJSON() ([]byte, error) {
	return json.Marshal(objectJSON{o.Head, AppendAttributes(nil, o.Attrs)})
}

// UnmarshalJSON refuses headers of other lengths than those of the four kinds that are journalled.
func (o *Object) UnmarshalJSON(b []byte) error {
	var j objectJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if len(j.Head) != AddressHeaderLen && len(j.Head) != HeaderLen {
		return fmt.Errorf("header of %d bytes: %w", len(j.Head), ErrMalformed)
	}
	attrs, err := parseAttributes(j.Attrs)
	if err != nil {
		return err
	}
	o.Head, o.Attrs = j.Head, attrs
	return nil
}

// LittleEndian is the byte order of this machine.
var LittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func ParseNested(b []byte) Object {
	attrs, err := parseAttributes(b)
	if err != nil {
		return Object{}
	}
	return Object{Attrs: attrs}
}

// ParseNestedStrict is ParseNested with an error for what is malformed or missing.
func ParseNestedStrict(b []byte) (Object, error) {
	if b == nil {
		return Object{}, ErrMalformed
	}
	return ParseObject(b, 0)
}

// Nest returns the attributes nested in an attribute; none if it is malformed.
func (o Object) Nest(kind uint16) Object { return ParseNested(o.Get(kind)) }

// GetBE32 returns a number in network byte order, 0 if it is missing.
func (o Object) GetBE32(kind uint16) uint32 {
	if v := o.Get(kind); len(v) >= 4 {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// Text returns a string, with or without its NUL in the message.
func (o Object) Text(kind uint16) string { return unix.ByteSliceToString(o.Get(kind)) }

// CString terminates s with NUL, as netlink wants it.
func CString(s string) []byte { return append([]byte(s), 0) }

// CopyFrom appends the attributes of these kinds.
func (o *Object) CopyFrom(from Object, kinds ...uint16) {
	for _, a := range from.Attrs {
		if slices.Contains(kinds, a.Kind&KindMask) {
			o.Attrs = append(o.Attrs, a)
		}
	}
}

func Union(a, b []Object, same func(Object, Object) bool) []Object {
	out := append([]Object(nil), a...)
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

// Except returns list without the objects whose id is that of an object of gone.
func Except(list, gone []Object, id func(Object) string) []Object {
	if len(gone) == 0 {
		return slices.Clone(list)
	}
	ids := make(map[string]bool, len(gone))
	for _, o := range gone {
		ids[id(o)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(o Object) bool { return ids[id(o)] })
}

// Replace returns list with each object of with in place of the object of the same id, or at the end.
func Replace(list, with []Object, id func(Object) string) []Object {
	if len(with) == 0 {
		return list
	}
	list = slices.Clone(list)
	at := make(map[string]int, len(list))
	for i, o := range slices.Backward(list) {
		at[id(o)] = i // the first one's
	}
	for _, o := range with {
		i, ok := at[id(o)]
		if ok {
			list[i] = o
			continue
		}
		at[id(o)] = len(list)
		list = append(list, o)
	}
	return list
}
