package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func text(kind uint16, s string) attribute { return attribute{kind, zeroTerminated(s)} }

func number(kind uint16, v uint32) attribute {
	return attribute{kind, binary.BigEndian.AppendUint32(nil, v)}
}

func nest(kind uint16, of ...attribute) attribute {
	return attribute{kind | unix.NLA_F_NESTED, appendAttributes(nil, of)}
}
