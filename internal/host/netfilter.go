package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// netfilterDump lists objects of a subsystem of nfnetlink (NFNL_SUBSYS_…) in the namespace of the calling thread. Netfilter's
// numbers are in network byte order. head is struct nfgenmsg, so object.family is the address family. Only those that keep wants are
// kept, nil: all. There may be tens of thousands.
func netfilterDump(subsystem, message int, family byte, keep func(object) bool, attrs ...attribute) ([]object, error) {
	n, err := openNFNetlink()
	if err != nil {
		return nil, err
	}
	defer n.close()
	return retry(func() (list []object, err error) {
		err = n.dump(uint16(subsystem<<8|message), nfBody(family, attrs...), func(b []byte) error {
			o, err := parseObject(b, nfHead)
			if err == nil && (keep == nil || keep(o)) {
				list = append(list, o)
			}
			return err
		})
		return list, err
	})
}

// nest reads an attribute that consists of attributes; a malformed one has none.
func (o object) nest(kind uint16) object { return inside(o.get(kind)) }

func inside(b []byte) object {
	attrs, err := parseAttributes(b)
	if err != nil {
		return object{}
	}
	return object{attrs: attrs}
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
