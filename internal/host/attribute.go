package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Attributes within attributes, text and numbers, as netlink's families have them. The numbers of netfilter are in network byte order.

// nest reads an attribute that consists of attributes; a malformed one has none.
func (o object) nest(kind uint16) object { return inside(o.get(kind)) }

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

func text(kind uint16, s string) attribute { return attribute{kind, zeroTerminated(s)} }

func number(kind uint16, v uint32) attribute {
	return attribute{kind, binary.BigEndian.AppendUint32(nil, v)}
}

func nest(kind uint16, of ...attribute) attribute {
	return attribute{kind | unix.NLA_F_NESTED, appendAttributes(nil, of)}
}
