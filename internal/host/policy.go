package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// A linkSetting is a sysctl that every link has. The host's administrator gave it to the NIC with the addresses in mind, so it
// goes along with them, unless there is a reason why not.
type linkSetting struct {
	key    string // as in Member.Sysctls
	whyNot string // why the adapter does not get it; "": it does
}

// linkSettings are all sysctls of a link that Linux 6.1 to 6.18 have, in the order in which an adapter gets them.
var linkSettings = slices.Concat(
	carried("ipv4/",
		"accept_local", "accept_redirects", "accept_source_route", "arp_accept", "arp_announce", "arp_evict_nocarrier",
		"arp_filter", "arp_ignore", "arp_notify", "bc_forwarding", "bootp_relay", "disable_policy", "disable_xfrm",
		"drop_gratuitous_arp", "drop_unicast_in_l2_multicast", "force_igmp_version", "forwarding",
		"igmpv2_unsolicited_report_interval", "igmpv3_unsolicited_report_interval", "ignore_routes_with_linkdown",
		"log_martians", "medium_id", "promote_secondaries", "proxy_arp", "proxy_arp_pvlan", "route_localnet", "rp_filter",
		"secure_redirects", "send_redirects", "shared_media", "src_valid_mark", "tag"),
	[]linkSetting{{"ipv4/mc_forwarding", "a multicast routing daemon sets it by adding the link"}},
	carried("ipv6/",
		"accept_dad", "accept_ra", "accept_ra_defrtr", "accept_ra_from_local", "accept_ra_min_hop_limit", "accept_ra_min_lft",
		"accept_ra_mtu", "accept_ra_pinfo", "accept_ra_rt_info_max_plen", "accept_ra_rt_info_min_plen", "accept_ra_rtr_pref",
		"accept_redirects", "accept_source_route", "accept_untracked_na",
		"stable_secret", "addr_gen_mode", // the first changes the second
		"autoconf", "dad_transmits", "disable_policy", "drop_unicast_in_l2_multicast", "drop_unsolicited_na", "enhanced_dad",
		"force_forwarding", "force_mld_version", "force_tllao", "forwarding", "hop_limit", "ignore_routes_with_linkdown",
		"ioam6_enabled", "ioam6_id", "ioam6_id_wide", "keep_addr_on_down", "max_addresses", "max_desync_factor",
		"mldv1_unsolicited_report_interval", "mldv2_unsolicited_report_interval", "ndisc_evict_nocarrier", "ndisc_notify",
		"ndisc_tclass", "optimistic_dad", "proxy_ndp", "ra_defrtr_metric", "ra_honor_pio_life", "ra_honor_pio_pflag",
		"regen_max_retry", "regen_min_advance", "router_probe_interval", "router_solicitation_delay",
		"router_solicitation_interval", "router_solicitation_max_interval", "router_solicitations", "rpl_seg_enabled",
		"seg6_enabled", "seg6_require_hmac", "suppress_frag_ndisc", "temp_prefered_lft", "temp_valid_lft",
		"use_oif_addrs_only", "use_optimistic", "use_tempaddr",
		"disable_ipv6"), // last: IPv6 begins with all the others
	[]linkSetting{
		{"ipv6/mc_forwarding", "a multicast routing daemon sets it by adding the link"},
		{ipv6MTU, "the kernel sets it to the link's MTU as the link comes up; what a router said comes by its advertisement"},
	},
	neighbourSettings("ipv4/neigh/"), neighbourSettings("ipv6/neigh/"),
)

func carried(prefix string, names ...string) (list []linkSetting) {
	for _, name := range names {
		list = append(list, linkSetting{key: prefix + name})
	}
	return list
}

func neighbourSettings(prefix string) []linkSetting {
	return append(carried(prefix,
		"anycast_delay", "app_solicit", "base_reachable_time_ms", "delay_first_probe_time", "gc_stale_time",
		"interval_probe_time_ms", "locktime", "mcast_resolicit", "mcast_solicit", "proxy_delay", "proxy_qlen", "retrans_time_ms",
		"ucast_solicit", "unres_qlen_bytes"),
		linkSetting{prefix + "base_reachable_time", "it is base_reachable_time_ms in seconds"},
		linkSetting{prefix + "retrans_time", "it is retrans_time_ms in another unit"},
		linkSetting{prefix + "unres_qlen", "it is unres_qlen_bytes in packets"})
}

// CarryPolicy gives the adapter the sysctls and the IPv6 token of a member. The adapter must be down. A family's come
// from the first member that has addresses of it, the lender before all others, and from the lender where none has: so
// IPv6 that was off stays off, and IPv6 that was on for one NIC only is on. notes say what could not be set.
func (h *Host) CarryPolicy(adapter int, lender string, members []string) (notes []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	order := members
	if lender != "" {
		order = append([]string{lender}, slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == lender })...)
	}
	list, to, err := h.recorded(adapter, order)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	learned, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return nil, err
	}
	c := &carrier{h: h, to: to}
	four, six := policyOf(list, unix.AF_INET), policyOf(list, unix.AF_INET6)
	err = together(
		func() error { return c.token(six) },
		func() error { return c.settings("ipv4/", four) },
		func() error { return c.settings("ipv6/", six) },
		func() error { return c.relearn(learned) },
	)
	if err != nil {
		return nil, fmt.Errorf("carry settings to adapter: %w", err)
	}
	notes = c.notes()
	for _, m := range list {
		var left []string
		if m != four && m.UsesFamily(unix.AF_INET) {
			left = append(left, otherSettings("ipv4/", m, four)...)
		}
		if m != six && m.UsesFamily(unix.AF_INET6) {
			left = append(left, otherSettings("ipv6/", m, six)...)
		}
		if len(left) > 0 {
			notes = append(notes, fmt.Sprintf("%s has one value of each setting; these of %s do not go along: %s", to.Name, m.Name, some(left)))
		}
	}
	return notes, nil
}

// policyOf is the member whose settings of a family an adapter gets: the first with addresses of it, else the first.
func policyOf(list []*journal.MemberState, family byte) *journal.MemberState {
	for _, m := range list {
		if m.UsesFamily(family) {
			return m
		}
	}
	return list[0]
}

// advised are settings that routers change by themselves.
var advised = []string{"ipv6/hop_limit", "ipv6/neigh/base_reachable_time_ms", "ipv6/neigh/retrans_time_ms"}

// otherSettings are the settings of a family that somebody gave a member and that another, whose the adapter gets, has otherwise.
func otherSettings(family string, m, from *journal.MemberState) (list []string) {
	for _, s := range linkSettings {
		value, ok := m.Sysctls[s.key]
		if !ok || s.whyNot != "" || !strings.HasPrefix(s.key, family) || slices.Contains(advised, s.key) || value == from.Sysctls[s.key] {
			continue
		}
		if usual, ok := readSysctl("default", s.key); ok && usual != value {
			list = append(list, sysctlName(m.Name, s.key)+"="+value)
		}
	}
	return list
}

// carrier gives an adapter settings and collects what it could not set.
type carrier struct {
	h      *Host
	to     NIC
	failed []string // "net.ipv4.conf.team0.rp_filter=2"
	why    error    // the first one's
}

func (c *carrier) settings(family string, from *journal.MemberState) error {
	for _, s := range linkSettings {
		value, ok := from.Sysctls[s.key]
		if !ok || s.whyNot != "" || !strings.HasPrefix(s.key, family) {
			continue
		}
		if err := c.write(s.key, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *carrier) write(key, value string) error {
	err := c.h.writeSysctl(c.to.Name, key, value)
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	c.fail(sysctlName(c.to.Name, key)+"="+value, err)
	return nil
}

func (c *carrier) fail(what string, err error) {
	c.failed = append(c.failed, what)
	if c.why == nil {
		c.why = err
	}
}

// namedSettings bounds how many settings a note names.
const namedSettings = 5

func (c *carrier) notes() []string {
	if len(c.failed) == 0 {
		return nil
	}
	why := c.why
	for _, cause := range []error{unix.EROFS, unix.EACCES, unix.EPERM} {
		if errors.Is(why, cause) {
			why = fmt.Errorf("/proc/sys: %w", cause)
		}
	}
	return []string{fmt.Sprintf("%s does not get what its members have: %s (%v)", c.to.Name, some(c.failed), why)}
}

// some names the first few.
func some(list []string) string {
	what := strings.Join(list[:min(len(list), namedSettings)], ", ")
	if more := len(list) - namedSettings; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return what
}

// token goes before the settings: the kernel takes none for a link that ignores advertisements.
func (c *carrier) token(from *journal.MemberState) error {
	err := c.h.giveToken(c.to, from.Token)
	if err != nil && !rtnl.IsInjectedCrash(err) {
		c.fail("token "+from.Token, err)
		err = nil
	}
	return err
}

type tokenSetting struct{ key, value string }

// tokenSettings make the kernel take a token.
var tokenSettings = []tokenSetting{{"ipv6/accept_ra", "2"}, {"ipv6/router_solicitations", "1"}}

// giveToken sets a link's token if it has another, "" being none. The caller sets tokenSettings anew.
func (h *Host) giveToken(n NIC, token string) error {
	want, err := netip.ParseAddr(token)
	if have, ok := n.token(); err != nil || ok && have == want {
		return nil
	}
	for _, s := range tokenSettings {
		if err := h.writeSysctl(n.Name, s.key, s.value); err != nil {
			return err
		}
	}
	return h.rt.SetIPv6Token(n.Index, want)
}

// relearn gives other links the routes back that their kernel had learned: with forwarding on for one link it forgets the
// default routes of all that do not go on to take advertisements.
func (c *carrier) relearn(had []rtnl.Object) error {
	have, err := c.h.rt.AdvertisedRoutes()
	if err != nil {
		return err
	}
	lost := slices.DeleteFunc(had, func(r rtnl.Object) bool {
		return slices.ContainsFunc(have, func(o rtnl.Object) bool {
			return rtnl.SameAdvertised(o, r) && rtnl.RouteLinks(o)[0] == rtnl.RouteLinks(r)[0]
		})
	})
	if len(lost) == 0 {
		return nil
	}
	links, err := c.h.links()
	if err != nil {
		return err
	}
	for _, n := range links {
		if err := c.h.teach(n, learning{routes: rtnl.RoutesVia(lost, n.Index), says: n.says()}); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			c.h.log.Warn("default route not given back", "nic", n.Name, "err", err)
		}
	}
	return nil
}
