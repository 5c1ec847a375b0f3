package host

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/modes"
	"nicteam/team"
)

// warn collects what does not stand against the team but is worth knowing.
func (c *check) warn() {
	add := func(format string, args ...any) { c.warnings = append(c.warnings, fmt.Sprintf(format, args...)) }
	if len(c.chosen) == 1 && c.verb == "create" {
		add("the team has one NIC only: nothing is gained until a second joins (nicteam add %s NIC)", c.cfg.Team)
	}
	for _, text := range c.unfit() {
		add("%s", text)
	}
	for _, n := range c.chosen {
		if r := c.rulesOf(n.Name); r != "" {
			add("firewall rules name %s and will not match what comes by the team: %s; name %s instead", n.Name, r, c.cfg.Team)
		}
	}
	if c.verb == "create" && c.cfg.Address == team.AddressAuto && len(c.futureAddresses()) == 0 {
		add("none of the NICs has an address, so the adapter gets none; give it one with: ip addr add CIDR dev %s", c.cfg.Team)
	}
	for _, m := range c.keepers() {
		add("%s", m)
	}
}

// unfit says which NICs are not for the mode. All are for elb, where each sends with its own MAC, and as much as it can.
func (c *check) unfit() (out []string) {
	if c.cfg.Mode == modes.ELB && c.cfg.Balance {
		return nil
	}
	var speeds []string
	differ := false
	for _, n := range c.chosen {
		if n.WiFi {
			out = append(out, fmt.Sprintf("%s is a Wi-Fi NIC: access points take no frames from other MACs, so unless %s has its MAC it is of use in mode elb only", n.Name, c.cfg.Team))
		}
		if n.SpeedBps > 0 {
			speeds = append(speeds, fmt.Sprintf("%s %d Mbit/s", n.Name, n.SpeedBps/1_000_000))
			differ = differ || n.SpeedBps != firstSpeed(c.chosen)
		}
	}
	if differ {
		what := "modes that spread by hash do not know it"
		if c.cfg.Mode == modes.LACP {
			what = "LACP uses only ports of the same speed together"
		}
		out = append(out, fmt.Sprintf("the NICs' speeds differ (%s): %s", strings.Join(speeds, ", "), what))
	}
	return out
}

func firstSpeed(list []NIC) uint64 {
	for _, n := range list {
		if n.SpeedBps > 0 {
			return n.SpeedBps
		}
	}
	return 0
}

// rulesOf is a line of the nft ruleset that names a NIC.
func (c *check) rulesOf(nic string) string {
	if _, err := exec.LookPath("nft"); err != nil {
		return ""
	}
	out, err := nft("list ruleset\n")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"`+nic+`"`) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// keepers finds programs in this namespace that configure NICs by themselves, and so may take back what the team moves.
func (c *check) keepers() []string {
	var out []string
	names := func() string {
		var n []string
		for _, m := range c.chosen {
			n = append(n, m.Name)
		}
		return list(n)
	}()
	for _, comm := range running() {
		switch comm {
		case "NetworkManager":
			out = append(out, fmt.Sprintf("NetworkManager runs and may configure %s again: nmcli device set NIC managed no", names))
		case "systemd-network":
			out = append(out, fmt.Sprintf("systemd-networkd runs and may configure %s again: set Unmanaged=yes for them", names))
		case "dhcpcd":
			out = append(out, fmt.Sprintf("dhcpcd runs and may configure %s again: put \"denyinterfaces %s\" into dhcpcd.conf", names, strings.ReplaceAll(names, " and", "")))
		case "dhclient", "udhcpc":
			out = append(out, fmt.Sprintf("%s runs: the lease of %s is renewed there, not on %s; run it for %s instead", comm, names, c.cfg.Team, c.cfg.Team))
		}
	}
	if len(out) == 0 && c.leased() {
		out = append(out, fmt.Sprintf("an address of %s is leased by DHCP: it goes to %s with the time it has left, and nobody renews it", names, c.cfg.Team))
	}
	return out
}

// running lists the names of the programs of this network namespace, each once.
func running() []string {
	var here, there unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.Name()[0] < '1' || e.Name()[0] > '9' || unix.Stat("/proc/"+e.Name()+"/ns/net", &there) != nil || there.Ino != here.Ino {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/comm")
		if comm := strings.TrimSpace(string(b)); err == nil && !slices.Contains(out, comm) {
			out = append(out, comm)
		}
	}
	return out
}

// leased reports whether an IPv4 address of a member runs out or a route of it came by DHCP.
func (c *check) leased() bool {
	all, err := c.h.allRoutes()
	if err != nil {
		return false
	}
	for _, n := range c.chosen {
		for _, r := range routesOf(all, n.Index) {
			if r.head[rtProto] == unix.RTPROT_DHCP {
				return true
			}
		}
	}
	return false
}
