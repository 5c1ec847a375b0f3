package host

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/rtnl"
)

// listening is what the host's links listen to.
type listening struct {
	groups map[string][]netip.Addr // by link
	igmp   map[string]int          // the version that a link uses, as its querier and the host's settings want
}

func readListening() listening {
	l := listening{groups: map[string][]netip.Addr{}, igmp: map[string]int{}}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp"); err == nil {
		l.parseIGMP(b)
	}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp6"); err == nil {
		l.parseIGMP6(b)
	}
	return l
}

// parseIGMP reads /proc/net/igmp: a line a link with the version, then an indented line a group, whose address is
// printed as the word that it is in memory. A link's name of ten characters and more has the colon after it.
func (l *listening) parseIGMP(b []byte) {
	nic := ""
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		line := s.Text()
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case line[0] != '\t':
			nic = strings.TrimSuffix(f[1], ":")
			if version, found := strings.CutPrefix(f[len(f)-1], "V"); found {
				l.igmp[nic], _ = strconv.Atoi(version)
			}
		default:
			raw, err := hex.DecodeString(f[0])
			if err != nil || len(raw) != 4 {
				continue
			}
			if rtnl.LittleEndian {
				slices.Reverse(raw)
			}
			if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
				l.groups[nic] = append(l.groups[nic], a)
			}
		}
	}
}

// parseIGMP6 reads /proc/net/igmp6: index, link, group, …
func (l *listening) parseIGMP6(b []byte) {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		if err != nil || len(raw) != 16 {
			continue
		}
		if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
			l.groups[f[1]] = append(l.groups[f[1]], a)
		}
	}
}
