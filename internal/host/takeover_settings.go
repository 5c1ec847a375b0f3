// SPDX-License-Identifier: MIT

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

// A linkSetting is a sysctl that every link has. The administrator set it on the NIC for the sake of its addresses, so
// the adapter gets it, too, unless there is a reason.
type linkSetting struct {
	key       string // as in Member.Sysctls
	notCopied string // why the adapter does not get it; "": it does
}

// linkSettings are all per-link sysctls of Linux 6.1 to 6.18, in the order in which the adapter gets them.
var linkSettings = slices.Concat(
	copied("ipv4/",
		"accept_local", "accept_redirects", "accept_source_route", "arp_accept", "arp_announce", "arp_evict_nocarrier",
		"arp_filter", "arp_ignore", "arp_notify", "bc_forwarding", "bootp_relay", "disable_policy", "disable_xfrm",
		"drop_gratuitous_arp", "drop_unicast_in_l2_multicast", "force_igmp_version", "forwarding",
		"igmpv2_unsolicited_report_interval", "igmpv3_unsolicited_report_interval", "ignore_routes_with_linkdown",
		"log_martians", "medium_id", "promote_secondaries", "proxy_arp", "proxy_arp_pvlan", "route_localnet",
		"rp_filter", "secure_redirects", "send_redirects", "shared_media", "src_valid_mark", "tag"),
	[]linkSetting{{"ipv4/mc_forwarding", "a multicast routing daemon sets it by adding the link"}},
	copied("ipv6/",
		"accept_dad", "accept_ra", "accept_ra_defrtr", "accept_ra_from_local", "accept_ra_min_hop_limit",
		"accept_ra_min_lft", "accept_ra_mtu", "accept_ra_pinfo", "accept_ra_rt_info_max_plen",
		"accept_ra_rt_info_min_plen", "accept_ra_rtr_pref", "accept_redirects", "accept_source_route",
		"accept_untracked_na",
		"stable_secret", "addr_gen_mode", // stable_secret changes addr_gen_mode
		"autoconf", "dad_transmits", "disable_policy", "drop_unicast_in_l2_multicast", "drop_unsolicited_na",
		"enhanced_dad", "force_forwarding", "force_mld_version", "force_tllao", "forwarding", "hop_limit",
		"ignore_routes_with_linkdown", "ioam6_enabled", "ioam6_id", "ioam6_id_wide", "keep_addr_on_down",
		"max_addresses", "max_desync_factor", "mldv1_unsolicited_report_interval", "mldv2_unsolicited_report_interval",
		"ndisc_evict_nocarrier", "ndisc_notify", "ndisc_tclass", "optimistic_dad", "proxy_ndp", "ra_defrtr_metric",
		"ra_honor_pio_life", "ra_honor_pio_pflag", "regen_max_retry", "regen_min_advance", "router_probe_interval",
		"router_solicitation_delay", "router_solicitation_interval", "router_solicitation_max_interval",
		"router_solicitations", "rpl_seg_enabled", "seg6_enabled", "seg6_require_hmac", "suppress_frag_ndisc",
		"temp_prefered_lft", "temp_valid_lft", "use_oif_addrs_only", "use_optimistic", "use_tempaddr",
		"disable_ipv6"), // last: IPv6 starts with all others set
	[]linkSetting{
		{"ipv6/mc_forwarding", "a multicast routing daemon sets it by adding the link"},
		{ipv6MTU,
			"the kernel sets it to the link's MTU as the link comes up; what a router said comes by its advertisement"},
	},
	neighbourSettings("ipv4/neigh/"), neighbourSettings("ipv6/neigh/"),
)

func copied(prefix string, names ...string) (list []linkSetting) {
	for _, name := range names {
		list = append(list, linkSetting{key: prefix + name})
	}
	return list
}

func neighbourSettings(prefix string) []linkSetting {
	return append(copied(prefix,
		"anycast_delay", "app_solicit", "base_reachable_time_ms", "delay_first_probe_time", "gc_stale_time",
		"interval_probe_time_ms", "locktime", "mcast_resolicit", "mcast_solicit", "proxy_delay", "proxy_qlen",
		"retrans_time_ms", "ucast_solicit", "unres_qlen_bytes"),
		linkSetting{prefix + "base_reachable_time", "it is base_reachable_time_ms in seconds"},
		linkSetting{prefix + "retrans_time", "it is retrans_time_ms in another unit"},
		linkSetting{prefix + "unres_qlen", "it is unres_qlen_bytes in packets"})
}

// CopySettings copies the sysctls and the IPv6 token of a member to the adapter, which must be down. For each family
// the source is the first member with addresses of it, starting with the MAC donor, or the MAC donor if none has. So
// IPv6 that was off stays off, and IPv6 that was on for one NIC only is on. notes say what could not be set.
func (h *Host) CopySettings(adapter int, donor string, members []string) (notes []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	order := members
	if donor != "" {
		order = append([]string{donor}, slices.DeleteFunc(slices.Clone(members),
			func(m string) bool { return m == donor })...)
	}
	list, to, err := h.recordedMembers(adapter, order)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	learned, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return nil, err
	}
	c := &settingsCopier{h: h, to: to}
	four, six := settingsSource(list, unix.AF_INET), settingsSource(list, unix.AF_INET6)
	err = runAll(
		func() error { return c.copyToken(six) },
		func() error { return c.copySysctls("ipv4/", four) },
		func() error { return c.copySysctls("ipv6/", six) },
		func() error { return c.restoreLostRoutes(learned) },
	)
	if err != nil {
		return nil, fmt.Errorf("copy settings to adapter: %w", err)
	}
	notes = c.notes()
	for _, m := range list {
		var left []string
		if m != four && m.UsesFamily(unix.AF_INET) {
			left = append(left, differingSettings("ipv4/", m, four)...)
		}
		if m != six && m.UsesFamily(unix.AF_INET6) {
			left = append(left, differingSettings("ipv6/", m, six)...)
		}
		if len(left) > 0 {
			notes = append(notes, fmt.Sprintf("%s has one value of each setting; these of %s are not copied: %s",
				to.Name, m.Name, joinSome(left)))
		}
	}
	return notes, nil
}

// settingsSource returns the member whose settings of a family the adapter gets.
func settingsSource(list []*journal.MemberState, family byte) *journal.MemberState {
	for _, m := range list {
		if m.UsesFamily(family) {
			return m
		}
	}
	return list[0]
}

// setByRouters are sysctls that router advertisements change.
var setByRouters = []string{"ipv6/hop_limit", "ipv6/neigh/base_reachable_time_ms", "ipv6/neigh/retrans_time_ms"}

// differingSettings returns a member's sysctls of a family that are not the default and differ from the source's.
func differingSettings(family string, m, from *journal.MemberState) (list []string) {
	for _, s := range linkSettings {
		value, ok := m.Sysctls[s.key]
		if !ok || s.notCopied != "" || !strings.HasPrefix(s.key, family) || slices.Contains(setByRouters, s.key) ||
			value == from.Sysctls[s.key] {
			continue
		}
		if usual, ok := readSysctl("default", s.key); ok && usual != value {
			list = append(list, sysctlName(m.Name, s.key)+"="+value)
		}
	}
	return list
}

// settingsCopier sets sysctls of the adapter and collects failures.
type settingsCopier struct {
	h      *Host
	to     NIC
	failed []string // "net.ipv4.conf.team0.rp_filter=2"
	reason error    // of the first failure
}

func (c *settingsCopier) copySysctls(family string, from *journal.MemberState) error {
	for _, s := range linkSettings {
		value, ok := from.Sysctls[s.key]
		if !ok || s.notCopied != "" || !strings.HasPrefix(s.key, family) {
			continue
		}
		if s.key == addrGenMode && value == "1" && keptKernelLinkLocal(from) {
			value = "0" // of the MAC
		}
		if err := c.copySysctl(s.key, value); err != nil {
			return err
		}
	}
	return nil
}

// keptKernelLinkLocal reports whether a NIC has a link-local address of its kernel's only. dhcpcd has the kernel form
// none any more, and leaves one that is there. It does not move, and without one the adapter would have no IPv6.
func keptKernelLinkLocal(m *journal.MemberState) (kept bool) {
	for _, a := range m.Addresses {
		if rtnl.IsLinkLocal(a) && a.Family() == unix.AF_INET6 {
			if !m.IsKernelLinkLocal(a) {
				return false
			}
			kept = true
		}
	}
	return kept
}

func (c *settingsCopier) copySysctl(key, value string) error {
	err := c.h.writeSysctl(c.to.Name, key, value)
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	c.addFailure(sysctlName(c.to.Name, key)+"="+value, err)
	return nil
}

func (c *settingsCopier) addFailure(what string, err error) {
	c.failed = append(c.failed, what)
	if c.reason == nil {
		c.reason = err
	}
}

// maxNamed bounds the settings that a note names.
const maxNamed = 5

func (c *settingsCopier) notes() []string {
	if len(c.failed) == 0 {
		return nil
	}
	why := c.reason
	for _, cause := range []error{unix.EROFS, unix.EACCES, unix.EPERM} {
		if errors.Is(why, cause) {
			why = fmt.Errorf("/proc/sys: %w", cause)
		}
	}
	return []string{fmt.Sprintf("settings not copied to %s: %s (%v)", c.to.Name, joinSome(c.failed), why)}
}

// joinSome joins the first few.
func joinSome(list []string) string {
	what := strings.Join(list[:min(len(list), maxNamed)], ", ")
	if more := len(list) - maxNamed; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return what
}

// copyToken comes before the sysctls: the kernel takes no token for a link that ignores router advertisements.
func (c *settingsCopier) copyToken(from *journal.MemberState) error {
	err := c.h.setToken(c.to, from.Token)
	if err != nil && !rtnl.IsInjectedCrash(err) {
		c.addFailure("token "+from.Token, err)
		err = nil
	}
	return err
}

type tokenSetting struct{ key, value string }

// tokenSettings are the sysctls without which the kernel takes no token.
var tokenSettings = []tokenSetting{{"ipv6/accept_ra", "2"}, {"ipv6/router_solicitations", "1"}}

// setToken sets a link's token if it differs; "" is none. It changes tokenSettings, which the caller must set again.
func (h *Host) setToken(n NIC, token string) error {
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

// restoreLostRoutes restores routes that other links' kernels had learned. When forwarding is enabled on one link, the
// kernel removes the default routes of all links that then ignore router advertisements.
func (c *settingsCopier) restoreLostRoutes(had []rtnl.Object) error {
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
		routes := rtnl.RoutesVia(lost, n.Index)
		if err := c.h.applyRAState(n, raState{routes: routes, info: n.routerInfo()}); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			c.h.log.Warn("default route not restored", "nic", n.Name, "err", err)
		}
	}
	return nil
}
