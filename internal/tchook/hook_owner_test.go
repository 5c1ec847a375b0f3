// SPDX-License-Identifier: MIT

package tchook

import (
	"testing"

	"github.com/vishvananda/netlink"
)

func TestFilterNames(t *testing.T) {
	attrs := netlink.FilterAttrs{Priority: 49152}
	tests := []struct {
		in   netlink.Filter
		want string
		ours bool
	}{
		{&netlink.Flower{FilterAttrs: attrs}, `tc filter "flower" pref 49152`, false},
		{&netlink.GenericFilter{FilterAttrs: attrs, FilterType: "basic"}, `tc filter "basic" pref 49152`, false},
		{&netlink.BpfFilter{FilterAttrs: attrs, Name: "cil_from_netdev", Id: 12},
			`tc filter "bpf" pref 49152, program "cil_from_netdev" (id 12)`, false},
		{&netlink.BpfFilter{FilterAttrs: attrs, Name: "nicteam_receive", Id: 12},
			`tc filter "bpf" pref 49152, program "nicteam_receive" (id 12)`, true},
		{&netlink.BpfFilter{FilterAttrs: attrs, Name: "nicteam_receiver", Id: 12},
			`tc filter "bpf" pref 49152, program "nicteam_receiver" (id 12)`, false},
	}
	for _, tt := range tests {
		if got := tcFilter(tt.in); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
		if got := receiveFilter.is(tt.in); got != tt.ours {
			t.Errorf("%s is ours: %v", tt.want, got)
		}
	}
}
