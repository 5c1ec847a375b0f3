// SPDX-License-Identifier: MIT

package spread

import (
	"strings"
	"testing"
)

func TestParseFlow(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{in: "tcp 10.0.0.1:5000 10.0.0.2:80", want: "tcp 10.0.0.1:5000 10.0.0.2:80"},
		{in: "  UDP  [fd00::1]:5000   [fd00::2]:53 ", want: "udp [fd00::1]:5000 [fd00::2]:53"},
		{in: "icmp 10.0.0.1 10.0.0.2", want: "icmp 10.0.0.1 10.0.0.2"},
		{in: "icmp [fd00::1] fd00::2", want: "icmp fd00::1 fd00::2"},
		{in: "icmpv6 fd00::1 fd00::2", want: "icmp fd00::1 fd00::2"},
		{in: "tcp [::ffff:10.0.0.1]:1 10.0.0.2:2", want: "tcp 10.0.0.1:1 10.0.0.2:2"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan 7 to 02:00:00:00:00:01 from 02:00:00:00:00:02",
			want: "tcp 10.0.0.1:1 10.0.0.2:2 to 02:00:00:00:00:01 from 02:00:00:00:00:02 vlan 7"},
		{in: "", err: "want a protocol and two ends"},
		{in: "tcp 10.0.0.1:5000", err: "want a protocol and two ends"},
		{in: "tpc 10.0.0.1:1 10.0.0.2:2", err: `did you mean "tcp"`},
		{in: "tcp 10.0.0.1 10.0.0.2:80", err: "want an address and a port"},
		{in: "tcp 10.0.0.1:99999 10.0.0.2:80", err: "want an address and a port"},
		{in: "icmp 10.0.0.1:1 10.0.0.2", err: "want an address"},
		{in: "tcp 10.0.0.1:1 [fd00::1]:2", err: "one end is IPv4"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 extra", err: "unknown word \"extra\""},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan", err: "nothing follows"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlan 4095", err: "want 1 to 4094"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 to 5", err: "parse MAC"},
		{in: "tcp 10.0.0.1:1 10.0.0.2:2 vlna 5", err: `did you mean "vlan"`},
	} {
		f, err := ParseFlow(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got %v, want an error with %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || f.String() != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, f, err, c.want)
			continue
		}
		if again, err := ParseFlow(f.String()); err != nil || again != f {
			t.Errorf("%q: came back as %q, %v", f, again, err)
		}
	}
}

func FuzzParseFlow(f *testing.F) {
	f.Add("tcp 10.0.0.1:5000 10.0.0.2:80 vlan 5 to 02:00:00:00:00:01")
	f.Add("icmp fd00::1%eth0 [fd00::2]")
	pl := planOf(RuleSlots, 3)
	f.Fuzz(func(t *testing.T, s string) {
		flow, err := ParseFlow(s)
		if err != nil {
			return
		}
		if again, err := ParseFlow(flow.String()); err != nil || again != flow {
			t.Fatalf("%q is %+v, its text %q is %+v, %v", s, flow, flow, again, err)
		}
		if e := Explain(pl, nil, ethN, flow); e.Member < 0 || e.Why == "" {
			t.Fatalf("%q: %+v", s, e)
		}
	})
}
