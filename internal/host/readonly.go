package host

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// In a container /proc/sys is read-only as a rule, or a security module keeps it. What a team sets there it can do without:
//
//	arp_ignore of members       the isolation drops what would be answered; while the process is dead nothing does
//	disable_ipv6 of members     the NIC gets no link-local address (addrgenmode none, by rtnetlink) and loses the one it
//	                            has: without an address it sends nothing by itself, and what comes in is dropped
//	accept_dad when given back  an address is checked for a second before it is used
//	netdev_max_backlog          the queue stays as long as it is

const addrGenMode = "ipv6/addr_gen_mode"

// IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenNone = 1

// cannotWrite reports whether a setting is not this process's to write.
func cannotWrite(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// unwritable is why a sysctl of a NIC cannot be written, nil when it can or is not there.
func unwritable(nic, key string) error {
	f, err := os.OpenFile(sysctlPath(nic, key), os.O_WRONLY, 0)
	if err == nil {
		f.Close()
		return nil
	}
	if cannotWrite(err) {
		return err
	}
	return nil
}

// unlessReadOnly is err, but nil where a setting that a team can do without could not be written.
func (h *Host) unlessReadOnly(err error) error {
	if err != nil && !rtnl.IsInjectedCrash(err) && cannotWrite(err) {
		h.log.Debug("done without", "err", err)
		return nil
	}
	return err
}

// silenceIPv6 turns the IPv6 of a member off, or keeps it from saying anything.
func (h *Host) silenceIPv6(nic string, index int) error {
	err := h.writeSysctl(nic, disableIPv6, "1")
	if v, ok := readSysctl(nic, disableIPv6); err == nil && ok && v == "1" {
		return nil
	}
	if err = h.unlessReadOnly(err); err != nil {
		return err
	}
	n, err := h.nicAt(index)
	if err != nil {
		return err
	}
	if !n.hasIPv6() {
		return nil // nor has it a sysctl for it
	}
	if err := h.rt.SetAddrGenMode(n.Name, n.Index, addrGenNone); err != nil {
		return err
	}
	have, err := h.rt.Addresses(index)
	if err != nil {
		return err
	}
	for _, a := range have {
		if a.Family() == unix.AF_INET6 {
			if err := h.rt.DeleteAddress(a, nic); err != nil {
				return err
			}
		}
	}
	return nil
}

// unsilenceIPv6 has a NIC make its link-local addresses again as it did.
func (h *Host) unsilenceIPv6(r *returning) error {
	if _, ok := readSysctl(r.nic.Name, disableIPv6); ok && unwritable(r.nic.Name, disableIPv6) == nil {
		return nil // the sysctls say all
	}
	mode := uint8(0)
	if v := r.m.Sysctls[addrGenMode]; v != "" {
		mode = v[0] - '0'
	}
	n, err := h.nicAt(r.nic.Index)
	if err != nil || !n.hasIPv6() {
		return err
	}
	return h.rt.SetAddrGenMode(n.Name, n.Index, mode)
}

// noteIPv6 records that a NIC has IPv6 where no sysctl says so.
func (n NIC) noteIPv6(sysctls map[string]string) map[string]string {
	if _, ok := sysctls[disableIPv6]; !ok && n.hasIPv6() {
		sysctls[disableIPv6] = "0"
	}
	return sysctls
}

// withoutSysctls warns of what cannot be had where /proc/sys cannot be written.
func (c *check) withoutSysctls() {
	for _, n := range c.chosen {
		if v, ok := readSysctl(n.Name, arpIgnore); !ok || v == memberARPIgnore {
			continue
		}
		if err := unwritable(n.Name, arpIgnore); err != nil {
			why := errors.Unwrap(err)
			c.warnf("/proc/sys cannot be written (%v), so arp_ignore is not set: while the process of %s is dead its NICs may answer ARP for its addresses", why, c.cfg.Team)
			return
		}
	}
}
