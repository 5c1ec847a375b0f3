package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func text(kind uint16, s string) Attribute { return Attribute{kind, CString(s)} }

func number(kind uint16, v uint32) Attribute {
	return Attribute{kind, binary.BigEndian.AppendUint32(nil, v)}
}

func nest(kind uint16, of ...Attribute) Attribute {
	return Attribute{kind | unix.NLA_F_NESTED, AppendAttributes(nil, of)}
}
