package host

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetsOfIpset(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	n, err := openNFNetlink()
	must(t, err)
	t.Cleanup(n.close)
	version, name := Attribute{ipsetProtocol, []byte{ipsetVersion}}, Attribute{ipsetName, CString("s9")}
	change := func(command int, flags uint16, attrs ...Attribute) error {
		errs, err := n.batch([]nfMessage{{uint16(ipsetSubsystem<<8 | command), flags, nfBody(unix.AF_INET, append([]Attribute{version, name}, attrs...)...)}})
		return errors.Join(append(errs, err)...)
	}
	const typeName, revision, family, address, prefix = 3, 4, 5, 1, 3
	if err := change(ipsetCreate, unix.NLM_F_CREATE|unix.NLM_F_EXCL, Attribute{typeName, CString("hash:net,iface")}, Attribute{revision, []byte{6}},
		Attribute{family, []byte{unix.AF_INET}}, Attribute{ipsetData | unix.NLA_F_NESTED, nil}); err != nil {
		t.Skipf("this kernel does not do it: %v", err)
	}
	t.Cleanup(func() {
		if err := change(3, 0); err != nil { // IPSET_CMD_DESTROY
			t.Error(err)
		}
	})
	add := func(nic string) {
		t.Helper()
		ip := AppendAttributes(nil, []Attribute{{1 | unix.NLA_F_NET_BYTEORDER, []byte{192, 0, 2, 0}}}) // IPSET_ATTR_IPADDR_IPV4
		entry := AppendAttributes(nil, []Attribute{{address | unix.NLA_F_NESTED, ip}, {prefix, []byte{24}}, {ipsetIface, CString(nic)}})
		must(t, change(ipsetAdd, 0, Attribute{ipsetData | unix.NLA_F_NESTED, entry}))
	}
	h := w.open(nil)
	add("nc")
	saysOfNA(t, h, "")
	add("na")
	saysOfNA(t, h, "ipset s9")
	add(teamName)
	saysOfNA(t, h, "")
}
