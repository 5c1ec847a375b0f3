package host

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"nicteam/internal/nfnl"
	"nicteam/internal/settings"
)

// masqueraded warns of connections that will be cut, as far as that can be known before.
func (c *check) masqueraded() {
	if tracked, _ := trackedConnections(); tracked == 0 || c.cfg.Address != settings.AddressAuto {
		return
	}
	var addresses []netip.Addr
	for _, n := range c.chosen {
		for _, p := range n.Addresses {
			addresses = append(addresses, p.Addr())
		}
	}
	n, err := nfnl.Open()
	var list []connection
	if err == nil {
		defer n.Close()
		list, err = connectionsBy(n, addresses)
	}
	if err == nil {
		if cut, why := notCarried(list); cut > 0 {
			c.warnf("%d connections that this host masquerades for others will be cut: %s", cut, why)
		}
		return
	}
	f, e := os.Open("/proc/thread-self/net/nf_conntrack")
	if e != nil {
		return // nothing is known of them
	}
	defer f.Close()
	if cut := countTranslated(f, addresses); cut > 0 {
		c.warnf("%d connections that this host masquerades for others will be cut: they cannot be made anew without ctnetlink (%v); try modprobe nf_conntrack_netlink", cut, err)
	}
}

// notCarried counts the connections that carrying leaves behind.
func notCarried(list []connection) (n int, why string) {
	for _, c := range list {
		if c.status()&ipsOffload != 0 {
			n++
			why = "a flowtable of nftables forwards them, and the kernel does not let them go"
		}
	}
	if more := len(list) - carriedAtMost; more > n {
		return more, fmt.Sprintf("there are more than %d", carriedAtMost)
	}
	return n, why
}

// countTranslated counts in /proc/net/nf_conntrack, where a line has the tuple of the original and then that of the reply, the connections
// whose source is translated to one of the addresses.
func countTranslated(r io.Reader, addresses []netip.Addr) (n int) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var src, dst, sport, dport []string
		for _, f := range strings.Fields(s.Text()) {
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
