package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

func text(kind uint16, s string) rtnl.Attribute { return rtnl.Attr(kind, rtnl.CString(s)) }

func number(kind uint16, v uint32) rtnl.Attribute {
	return rtnl.Attr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func nest(kind uint16, of ...rtnl.Attribute) rtnl.Attribute {
	return rtnl.Attr(kind|unix.NLA_F_NESTED, rtnl.AppendAttributes(nil, of))
}
