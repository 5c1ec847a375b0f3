package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// The bounds of values.
const (
	minMTU    = 576
	maxMTU    = 65521 // the most that a TAP takes
	maxWeight = 1e6
	maxDelay  = time.Hour
	maxGain   = time.Second
	maxSkew   = time.Second

	minRebalance = 100 * time.Millisecond // a quicker one would measure noise
	maxRebalance = time.Hour
)

// Validate says what is wrong with a configuration, whatever it was made from, nil when it
// makes sense. Values that are right but that this build cannot serve yet are team.Failed;
// everything else is team.Usage. What only the host knows (whether a NIC exists, whether a name is
// taken) is not looked at.
func Validate(c settings.Config) *api.Problem {
	if f := validate(c); f != nil {
		return f.problem("")
	}
	return nil
}

func validate(c settings.Config) *fault {
	if why := badTeamName(c.Team); why != "" {
		return &fault{key: "team", what: fmt.Sprintf("%q cannot be the name of a team", c.Team), why: why, fix: "choose a name such as team0"}
	}
	checks := []func(settings.Config) *fault{validateMembers, validateModes, validateTimes, validateAddresses, validateWire, validateLACP, validateLanding}
	for _, check := range checks {
		if f := check(c); f != nil {
			return f
		}
	}
	return nil
}

// badLinkName says why the kernel refuses a name for a link, "" when it takes it.
func badLinkName(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > 15:
		return fmt.Sprintf("it has %d bytes, a link's name has at most 15", len(s))
	case s == "." || s == "..":
		return "a link cannot be called that"
	case strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '/' || r == ':' || r == '\u00a0' || r == '\u0085'
	}):
		return "it has a space, a slash, a colon or a control character"
	}
	return ""
}

// badTeamName says why a name does not do for a team: it names the adapter and files.
func badTeamName(s string) string {
	if why := badLinkName(s); why != "" {
		return why
	}
	if s == "all" || s == "default" || s == "lo" {
		return "the kernel uses that name itself"
	}
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', i > 0 && strings.ContainsRune("._-", r):
		default:
			return "a team's name has letters, digits, and inside also . _ -"
		}
	}
	return ""
}

func validateMembers(c settings.Config) *fault {
	if len(c.Members) > modes.MaxMembers {
		return &fault{key: "members", what: fmt.Sprintf("%d are too many", len(c.Members)), why: fmt.Sprintf("a team has at most %d", modes.MaxMembers), fix: "make two teams"}
	}
	seen := map[string]bool{}
	for i, m := range c.Members {
		key := fmt.Sprintf("members[%d]", i)
		if why := badLinkName(m.Name); why != "" {
			return &fault{key: key + ".name", what: fmt.Sprintf("%q cannot be the name of a NIC", m.Name), why: why, fix: "nicteam list shows the NICs of this host"}
		}
		switch {
		case seen[m.Name]:
			return &fault{key: key, what: fmt.Sprintf("NIC %q is named twice", m.Name), why: "a NIC is one member", fix: "name it once"}
		case m.Name == c.Team:
			return &fault{key: key, what: fmt.Sprintf("%q is the team itself", m.Name), why: "a team cannot be its own member", fix: "give the team another name"}
		case !(m.Weight > 0 && m.Weight <= maxWeight) || math.IsNaN(m.Weight):
			return &fault{key: key + ".weight", what: fmt.Sprintf("weight %v of %s is out of range", m.Weight, m.Name), why: "a weight is above 0 and at most 1000000", fix: "write 1 for a NIC's plain share, 2 for twice as much"}
		}
		seen[m.Name] = true
	}
	for _, p := range []struct{ key, name string }{{"primary", c.Primary}, {"active", c.Active}} {
		if p.name != "" && !seen[p.name] {
			names := memberNames(c)
			return &fault{kind: api.NotFound, key: p.key, what: fmt.Sprintf("%q is not a member", p.name), why: "the members are " + orNone(names) + nearest.Hint(p.name, names), fix: "name a member"}
		}
	}
	return nil
}

func memberNames(c settings.Config) []string {
	var names []string
	for _, m := range c.Members {
		names = append(names, m.Name)
	}
	return names
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func validateModes(c settings.Config) *fault {
	switch c.Mode {
	case modes.ELB, modes.RoundRobin, modes.ActiveBackup, modes.XOR, modes.LACP, modes.Broadcast:
	default:
		return &fault{key: "mode", what: "no mode given", why: "a team has a mode", fix: "see: nicteam help modes"}
	}
	if c.Hash > modes.VLANSrcMAC {
		return &fault{key: "hash", what: "no such policy", why: "it is not one of the four", fix: "see: nicteam help config"}
	}
	if c.Match > settings.MatchMAC {
		return &fault{key: "match", what: "no such choice", why: "it is neither of the two", fix: "allowed are name or mac"}
	}
	if c.PrimaryReselect > modes.ReselectFailure {
		return &fault{key: "primary_reselect", what: "no such policy", why: "it is not one of the three", fix: "allowed are always, better or failure"}
	}
	if f := between("packets_per_member", c.PacketsPerMember, 0, 65535, "0 is a random member for each"); f != nil {
		return f
	}
	return between("min_members", c.MinMembers, 1, modes.MaxMembers, "the team is down when fewer are usable")
}

func between(key string, n, low, high int, note string) *fault {
	if n >= low && n <= high {
		return nil
	}
	return &fault{key: key, what: fmt.Sprintf("%d is out of range", n), why: fmt.Sprintf("allowed is %d to %d; %s", low, high, note), fix: fmt.Sprintf("write a number from %d to %d", low, high)}
}

func validateTimes(c settings.Config) *fault {
	for _, s := range []struct {
		key       string
		d         time.Duration
		low, high time.Duration
	}{
		{"up_delay", c.UpDelay, 0, maxDelay}, {"down_delay", c.DownDelay, 0, maxDelay},
		{"announce_interval", c.AnnounceInterval, 10 * time.Millisecond, time.Minute},
		{"gain", c.Gain, 0, maxGain}, {"skew", c.Skew, 0, maxSkew},
	} {
		if s.d < s.low || s.d > s.high {
			return &fault{key: s.key, what: fmt.Sprintf("%v is out of range", s.d), why: fmt.Sprintf("allowed is %v to %v", s.low, s.high), fix: "write a duration such as 200ms"}
		}
	}
	if c.Rebalance != 0 && (c.Rebalance < minRebalance || c.Rebalance > maxRebalance) {
		return &fault{key: "rebalance", what: fmt.Sprintf("%v is out of range", c.Rebalance), why: fmt.Sprintf("allowed is %v to %v, or 0s for never", minRebalance, maxRebalance), fix: "write a duration such as 1s"}
	}
	return between("announce_count", c.AnnounceCount, 0, 255, "0 announces nothing")
}

func validateAddresses(c settings.Config) *fault {
	if c.Address != settings.AddressGiven {
		if len(c.Addresses) > 0 || c.Gateway.IsValid() {
			return &fault{key: "gateway", what: "given without addresses", why: "with address auto the gateway moves with the NICs' addresses, with address none there is none", fix: "give addresses too: --address 10.0.0.1/24"}
		}
		return nil
	}
	if len(c.Addresses) == 0 {
		return &fault{key: "address", what: "no address given", why: "the list is empty", fix: addressFix}
	}
	seen := map[netip.Addr]bool{}
	for i, p := range c.Addresses {
		key := "address"
		if len(c.Addresses) > 1 {
			key = fmt.Sprintf("address[%d]", i)
		}
		bad := func(why string) *fault {
			return &fault{key: key, what: fmt.Sprintf("%v cannot be the adapter's address", p), why: why, fix: addressFix}
		}
		a := p.Addr()
		switch {
		case !p.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a.Is4In6(), a.Zone() != "":
			return bad("it is not the address of a host")
		case a.Is4() && p.Bits() < 31 && p.Bits() > 0 && (a == p.Masked().Addr() || a == lastOf(p)):
			return bad("it is the network's own or its broadcast address")
		case p.Bits() == 0:
			return bad("its network would be everything")
		case seen[a]:
			return bad("it is given twice")
		}
		seen[a] = true
	}
	if !c.Gateway.IsValid() {
		return nil
	}
	if seen[c.Gateway] {
		return &fault{key: "gateway", what: fmt.Sprintf("%v is the adapter's own address", c.Gateway), why: "a gateway is another host", fix: "give the router's address"}
	}
	for _, p := range c.Addresses {
		if p.Contains(c.Gateway) {
			return nil
		}
	}
	if c.Gateway.Is6() && c.Gateway.IsLinkLocalUnicast() {
		return nil
	}
	return &fault{key: "gateway", what: fmt.Sprintf("%v is on no subnet of the adapter", c.Gateway), why: "the adapter's addresses are " + strings.Join(addressWords(c), ", "), fix: "give a gateway inside one of them"}
}

// lastOf is the highest address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func validateWire(c settings.Config) *fault {
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return &fault{key: "mtu", what: fmt.Sprintf("%d is out of range", c.MTU), why: fmt.Sprintf("an MTU is %d to %d bytes", minMTU, maxMTU), fix: "leave mtu out: it is then that of the NICs with addresses"}
	}
	if c.MACPolicy == settings.MACGiven && (c.MAC == 0 || c.MAC.Multicast()) {
		return &fault{key: "mac", what: fmt.Sprintf("%q cannot be the adapter's MAC", c.MAC), why: "it is not the address of one station", fix: "use a locally administered one such as 02:00:00:00:00:01, or new"}
	}
	for _, o := range []struct {
		key string
		v   settings.Offload
	}{{"tso", c.TSO}, {"uso", c.USO}, {"gro", c.GRO}} {
		if o.v > settings.OffloadOff {
			return &fault{key: o.key, what: "no such position", why: "it is not one of the three", fix: "allowed are auto, on or off"}
		}
	}
	if len(c.LinkWatch) == 0 {
		return &fault{key: "link_watch", what: "no link watch given", why: "a team has to know which members work", fix: "write carrier"}
	}
	for _, w := range c.LinkWatch {
		kind, _, _ := strings.Cut(w, ":")
		if kind != "carrier" && kind != "arp" && kind != "nd" && kind != "probe" {
			list := []string{"carrier", "arp:IP", "nd:IP", "probe"}
			return &fault{key: "link_watch", what: fmt.Sprintf("unknown link watch %q", w), why: "there is no such watch" + nearest.Hint(kind, []string{"carrier", "arp", "nd", "probe"}), fix: "allowed are " + oneOf(list)}
		}
	}
	if i, f := parseWord("datapath", c.Datapath, []string{"auto", "relay", "fastpath"}); f != nil || c.Datapath != []string{"auto", "relay", "fastpath"}[i] {
		if f == nil {
			f = &fault{key: "datapath", what: fmt.Sprintf("unknown value %q", c.Datapath), why: "it is written in small letters", fix: "allowed are auto, relay or fastpath"}
		}
		return f
	}
	return nil
}

// validateLanding refuses what is right and has not landed.
func validateLanding(c settings.Config) *fault {
	for _, w := range c.LinkWatch {
		if w != "carrier" {
			return notYet("link_watch", w, "use carrier")
		}
	}
	return nil
}
