// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

const (
	arpIgnore   = "ipv4/arp_ignore"
	rpFilter    = "ipv4/rp_filter"
	acceptDAD   = "ipv6/accept_dad"
	disableIPv6 = "ipv6/disable_ipv6"
	ipv6MTU     = "ipv6/mtu"
)

// changedSysctls are those that a takeover changes. All others stay the administrator's, also on a member.
var changedSysctls = []string{arpIgnore, rpFilter, acceptDAD, disableIPv6, ipv6MTU}

// sysctlPath returns the file of a NIC's sysctl; /proc/sys/net shows the namespace of the calling thread.
func sysctlPath(nic, key string) string {
	family, name, _ := strings.Cut(key, "/")
	table := "conf"
	if of, ok := strings.CutPrefix(name, "neigh/"); ok {
		table, name = "neigh", of
	}
	return "/proc/sys/net/" + family + "/" + table + "/" + nic + "/" + name
}

// sysctlName returns a sysctl's name in the form of sysctl(8).
func sysctlName(nic, key string) string {
	name := strings.TrimPrefix(sysctlPath(nic, key), "/proc/sys/")
	if strings.Contains(nic, ".") {
		return name // sysctl(8) takes both
	}
	return strings.ReplaceAll(name, "/", ".")
}

// readSysctl returns false if the kernel has no such sysctl, or it was never set (stable_secret).
func readSysctl(nic, key string) (string, bool) {
	value, err := readShort(sysctlPath(nic, key))
	return value, err == nil
}

// readShort returns the text in a file of /proc/sys, without spaces around it. A NIC has more than a hundred of them,
// and the kernel gives a value that has room as a whole: one read tells.
func readShort(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var b [256]byte
	n, err := unix.Read(fd, b[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, b[:])
	}
	switch {
	case err != nil:
		return "", &os.PathError{Op: "read", Path: path, Err: err}
	case n == len(b):
		long, err := readProc(path)
		return strings.TrimSpace(string(long)), err
	}
	return string(bytes.TrimSpace(b[:n])), nil
}

// writeSysctl writes a value that differs. It ignores a missing sysctl.
func (h *Host) writeSysctl(nic, key, value string) error {
	old, err := readShort(sysctlPath(nic, key))
	if errors.Is(err, os.ErrNotExist) || err == nil && old == value {
		return nil
	}
	what := fmt.Sprintf("set %s of %s to %s", key, nic, value)
	if err := h.faultPoint(what); err != nil {
		return err
	}
	// No O_CREATE, no O_TRUNC: it is not a regular file.
	f, err := os.OpenFile(sysctlPath(nic, key), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// restoreSysctls writes these keys' values.
func (h *Host) restoreSysctls(nic string, values map[string]string, keys ...string) error {
	var errs []error
	for _, key := range keys {
		value, ok := values[key]
		if !ok {
			continue
		}
		if err := h.writeSysctl(nic, key, value); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// restoreDefaults restores sysctls with the prefix on a NIC whose settings were reset to this host's defaults. It skips
// those that a takeover changes, and those that are no longer the default, because somebody or a router changed them;
// not so those that setToken changed.
func (h *Host) restoreDefaults(nic string, m *journal.Member, prefix string) error {
	var keys []string
	for _, s := range linkSettings {
		if !strings.HasPrefix(s.key, prefix) || slices.Contains(changedSysctls, s.key) || s.notCopied != "" {
			continue
		}
		forToken := m.Token != "" && slices.ContainsFunc(tokenSettings,
			func(t tokenSetting) bool { return t.key == s.key })
		if isDefault(nic, s.key) || forToken {
			keys = append(keys, s.key)
		}
	}
	return h.restoreSysctls(nic, m.Sysctls, keys...)
}

// isDefault reports whether a sysctl still has its default value.
func isDefault(nic, key string) bool {
	v, _ := readSysctl(nic, key)
	begun, ok := readSysctl("default", key)
	return !ok || v == begun
}

func recordSysctls(nic string) map[string]string {
	values := map[string]string{}
	for _, s := range linkSettings {
		if v, ok := readSysctl(nic, s.key); ok {
			values[s.key] = v
		}
	}
	return values
}

// In a container /proc/sys is usually read-only, or a security module protects it. A team can do without its sysctls:
//
//	arp_ignore of members    isolation drops the requests, as long as the process lives
//	disable_ipv6 of members  addrgenmode none (by rtnetlink) instead; the link-local address is removed. Without an
//	                         address the NIC sends nothing by itself, and isolation drops what it receives
//	accept_dad               duplicate address detection takes a second after a give-back
//	netdev_max_backlog       the queue keeps its length

const addrGenMode = "ipv6/addr_gen_mode"

// IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenNone = 1

// isReadOnly reports whether this process may not write the setting.
func isReadOnly(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// unwritable returns why a sysctl cannot be written; nil if it can, or does not exist.
func unwritable(nic, key string) error {
	f, err := os.OpenFile(sysctlPath(nic, key), os.O_WRONLY, 0)
	if err == nil {
		f.Close()
		return nil
	}
	if isReadOnly(err) {
		return err
	}
	return nil
}

// ignoreReadOnly returns nil for an optional setting that cannot be written.
func (h *Host) ignoreReadOnly(err error) error {
	if err != nil && !rtnl.IsInjectedCrash(err) && isReadOnly(err) {
		h.log.Debug("optional setting skipped", "err", err)
		return nil
	}
	return err
}

// disableMemberIPv6 turns a member's IPv6 off, or keeps it silent.
func (h *Host) disableMemberIPv6(nic string, index int) error {
	err := h.writeSysctl(nic, disableIPv6, "1")
	if v, ok := readSysctl(nic, disableIPv6); err == nil && ok && v == "1" {
		return nil
	}
	if err = h.ignoreReadOnly(err); err != nil {
		return err
	}
	n, err := h.nicAt(index)
	if err != nil {
		return err
	}
	if !n.hasIPv6() {
		return nil // no IPv6, hence no sysctl
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

// restoreAddrGenMode restores how a NIC forms link-local addresses.
func (h *Host) restoreAddrGenMode(r *member) error {
	if _, ok := readSysctl(r.nic.Name, disableIPv6); ok && unwritable(r.nic.Name, disableIPv6) == nil {
		return nil // the sysctls restore it
	}
	mode := uint8(0)
	if v := r.was.Sysctls[addrGenMode]; v != "" {
		mode = v[0] - '0'
	}
	n, err := h.nicAt(r.nic.Index)
	if err != nil || !n.hasIPv6() {
		return err
	}
	return h.rt.SetAddrGenMode(n.Name, n.Index, mode)
}

// recordIPv6 records that the NIC has IPv6 if no sysctl says so.
func (n NIC) recordIPv6(sysctls map[string]string) map[string]string {
	if _, ok := sysctls[disableIPv6]; !ok && n.hasIPv6() {
		sysctls[disableIPv6] = "0"
	}
	return sysctls
}
