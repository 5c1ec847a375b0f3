package host

import (
	"fmt"
	"strings"

	"nicteam/internal/settings"
)

// warn collects what does not stand against the team but is worth knowing.
func (c *check) warn() {
	if len(c.chosen) == 1 && c.verb == "create" {
		c.warnf("the team has one NIC only: nothing is gained until a second joins (nicteam add %s NIC)", c.cfg.Team)
	}
	for _, text := range c.unfit() {
		c.warnf("%s", text)
	}
	if c.verb == "create" && c.cfg.Address == settings.AddressAuto && len(c.futureAddresses()) == 0 {
		c.warnf("none of the NICs has an address, so the adapter gets none; give it one with: ip addr add CIDR dev %s", c.cfg.Team)
	}
}

// unfit says which NICs are not for the mode. All are for elb, where each sends with its own MAC, and as much as it can.
func (c *check) unfit() (out []string) {
	if c.cfg.Mode.OwnMACs(c.cfg.Balance) {
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
		if c.cfg.Mode.HasPartner() {
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
