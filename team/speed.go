package team

import "nicteam/modes/spread"

// Speed is what the adapter shows as its own to who asks as of any NIC: ethtool, SNMP, a routing daemon that makes costs of it.
type Speed struct {
	Bps    uint64 // 0 unknown
	Duplex string // "full", "half" or "" unknown
}

// kernelCounts says what the kernel's counters of the adapter have.
func (l *Loop) kernelCounts() string {
	if l.datapath == "fastpath" {
		return "relayed"
	}
	return "all"
}

// speed is the adapter's, by the rule of bond_ethtool_get_link_ksettings in the kernel's bond_main.c: what the members that
// send have together. In active-backup that is the active one; in broadcast every frame waits for the slowest. A speed
// that is not known counts as none; the duplex is that of the first member that knows.
func (l *Loop) speed() (s Speed) {
	if l.plan == nil {
		return s
	}
	for _, m := range l.members {
		if !l.plan.Distributing.Has(m.id) {
			continue
		}
		link := m.linkState.Link
		switch {
		case l.plan.Rule != spread.RuleBroadcast:
			s.Bps += link.SpeedBps
		case link.SpeedBps > 0 && (s.Bps == 0 || link.SpeedBps < s.Bps):
			s.Bps = link.SpeedBps
		}
		if s.Duplex == "" {
			s.Duplex = link.Duplex
		}
	}
	return s
}
