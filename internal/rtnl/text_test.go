// SPDX-License-Identifier: MIT

package rtnl

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTexts(t *testing.T) {
	name := func(int) string { return "eth1" }
	peer := NewAddress(netip.MustParsePrefix("10.0.0.1/32"), 3)
	peer.Set(unix.IFA_ADDRESS, []byte{10, 0, 0, 2})
	metric := NewAddress(netip.MustParsePrefix("10.0.0.1/24"), 3)
	metric.Set32(IFAMetric, 50)
	rule := Object{Head: make([]byte, HeaderLen)}
	rule.Head[0], rule.Head[rtType], rule.Head[8] = unix.AF_INET, unix.FR_ACT_TO_TBL, ruleInverted
	rule.Set(unix.FRA_IIFNAME, CString("eth1"))
	rule.Set32(unix.FRA_TABLE, 77)
	rule.Set(fraDPort, []byte{80, 0, 90, 0})
	blackhole := NewLeaseRoute(netip.MustParsePrefix("10.1.0.0/16"), netip.Addr{}, 3)
	blackhole.Head[rtType] = unix.RTN_BLACKHOLE
	six := NewAddress(netip.MustParsePrefix("fd00::1/64"), 3)
	gateway := NewDefaultRoute(netip.MustParseAddr("10.0.0.2"), 3)
	for want, got := range map[string]string{
		"10.0.0.1 peer 10.0.0.2/32":                            AddressText(peer),
		"10.0.0.1/24 metric 50":                                AddressText(metric),
		"fd00::1/64":                                           AddressText(six),
		"default via 10.0.0.2 dev eth1 proto static":           RouteArguments(gateway, name),
		"blackhole 10.1.0.0/16 dev eth1 proto dhcp scope link": RouteArguments(blackhole, name),
		"not from all iif eth1 dport 80-90 lookup 77":          RuleArguments(rule),
	} {
		if got != want && (LittleEndian || !strings.Contains(want, "dport")) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzTexts writes what no kernel has sent.
func FuzzTexts(f *testing.F) {
	f.Add(byte(2), NewAddress(netip.MustParsePrefix("10.0.0.1/24"), 3).Serialize())
	f.Add(byte(2), NewDefaultRoute(netip.MustParseAddr("fd00::1"), 3).Serialize())
	f.Fuzz(func(t *testing.T, family byte, b []byte) {
		if a, err := ParseObject(b, AddressHeaderLen); err == nil {
			_, _, _ = AddressName(a), AddressText(a), AddressArguments(a)
		}
		if o, err := ParseObject(b, HeaderLen); err == nil {
			o.Head[0] = family
			_, _ = RouteArguments(o, func(int) string { return "" }), RuleArguments(o)
		}
	})
}
