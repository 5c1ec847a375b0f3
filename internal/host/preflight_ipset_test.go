// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

func TestSetsOfIpset(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	n, err := nfnl.Open()
	must(t, err)
	t.Cleanup(n.Close)
	// Of linux/netfilter/ipset/ip_set.h: commands, then attributes.
	const ipsetSubsystem, ipsetCreate, ipsetDestroy, ipsetAdd = 6, 2, 3, 9
	const ipsetProtocol, ipsetName, ipsetData, ipsetIface, ipsetVersion = 1, 2, 7, 23, 6
	version, name := rtnl.Attr(ipsetProtocol, []byte{ipsetVersion}), rtnl.Attr(ipsetName, rtnl.CString("s9"))
	change := func(command int, flags uint16, attrs ...rtnl.Attribute) error {
		errs, err := n.Batch([]nfnl.Message{{Kind: uint16(ipsetSubsystem<<8 | command), Flags: flags,
			Body: nfnl.NewBody(unix.AF_INET, append([]rtnl.Attribute{version, name}, attrs...)...)}})
		return errors.Join(append(errs, err)...)
	}
	const typeName, revision, family, address, prefix = 3, 4, 5, 1, 3
	if err := change(ipsetCreate, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		rtnl.Attr(typeName, rtnl.CString("hash:net,iface")), rtnl.Attr(revision, []byte{6}),
		rtnl.Attr(family, []byte{unix.AF_INET}), rtnl.Attr(ipsetData|unix.NLA_F_NESTED, nil)); err != nil {
		t.Skipf("this kernel does not do it: %v", err)
	}
	t.Cleanup(func() {
		if err := change(ipsetDestroy, 0); err != nil {
			t.Error(err)
		}
	})
	add := func(nic string) {
		t.Helper()
		// IPSET_ATTR_IPADDR_IPV4
		ip := rtnl.AppendAttributes(nil, []rtnl.Attribute{rtnl.Attr(1|unix.NLA_F_NET_BYTEORDER, []byte{192, 0, 2, 0})})
		entry := rtnl.AppendAttributes(nil, []rtnl.Attribute{rtnl.Attr(address|unix.NLA_F_NESTED, ip),
			rtnl.Attr(prefix, []byte{24}), rtnl.Attr(ipsetIface, rtnl.CString(nic))})
		must(t, change(ipsetAdd, 0, rtnl.Attr(ipsetData|unix.NLA_F_NESTED, entry)))
	}
	h := w.open(nil)
	add("nc")
	saysOfNA(t, h, "")
	add("na")
	saysOfNA(t, h, "ipset s9")
	add(teamName)
	saysOfNA(t, h, "")
}
