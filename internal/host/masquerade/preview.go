// SPDX-License-Identifier: MIT

package masquerade

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/nfnl"
)

// CutConnections returns how many connections masqueraded to these addresses will be cut when the addresses move, and
// why, as far as that is known before.
func CutConnections(addresses []netip.Addr) (n int, why string) {
	if tracked, _ := trackedConnections(); tracked == 0 {
		return 0, ""
	}
	c, err := nfnl.Open()
	var list []connection
	if err == nil {
		defer c.Close()
		list, err = connectionsBy(c, addresses)
	}
	if err == nil {
		return notRebound(list)
	}
	f, e := os.Open("/proc/thread-self/net/nf_conntrack")
	if e != nil {
		return 0, "" // unknown
	}
	defer f.Close()
	return countTranslated(f, addresses),
		fmt.Sprintf("they cannot be re-created without ctnetlink (%v); try modprobe nf_conntrack_netlink", err)
}

// notRebound counts the connections that rebinding cannot keep.
func notRebound(list []connection) (n int, why string) {
	for _, c := range list {
		if c.status()&ipsOffload != 0 {
			n++
			why = "an nftables flowtable forwards them"
		}
	}
	if more := len(list) - maxConnections; more > n {
		return more, fmt.Sprintf("there are more than %d", maxConnections)
	}
	return n, why
}

// countTranslated counts connections in /proc/net/nf_conntrack whose source is translated to one of the addresses. A
// line has the original tuple, then the reply's.
func countTranslated(r io.Reader, addresses []netip.Addr) (n int) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var src, dst, sport, dport []string
		for f := range strings.FieldsSeq(s.Text()) {
			name, value, _ := strings.Cut(f, "=")
			switch name {
			case "src":
				src = append(src, value)
			case "dst":
				dst = append(dst, value)
			case "sport":
				sport = append(sport, value)
			case "dport":
				dport = append(dport, value)
			}
		}
		if len(src) != 2 || len(dst) != 2 || len(sport) != len(dport) {
			continue
		}
		to, err := netip.ParseAddr(dst[1])
		if err != nil || !slices.Contains(addresses, to) {
			continue
		}
		if src[0] != dst[1] || len(sport) == 2 && sport[0] != dport[1] {
			n++
		}
	}
	return n
}

// trackedConnections returns how many connections the kernel tracks in this namespace; false if conntrack is not
// loaded, which a netlink query would change.
func trackedConnections() (n int, ok bool) {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return n, err == nil
}
