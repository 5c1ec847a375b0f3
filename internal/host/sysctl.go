package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

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

// changedSysctls are those that a takeover changes; the others of a NIC are its administrator's, also while it is a member.
var changedSysctls = []string{arpIgnore, rpFilter, acceptDAD, disableIPv6, ipv6MTU}

// sysctlPath is where a NIC's sysctl is; /proc/sys/net shows the namespace of the calling thread.
func sysctlPath(nic, key string) string {
	family, name, _ := strings.Cut(key, "/")
	table := "conf"
	if of, ok := strings.CutPrefix(name, "neigh/"); ok {
		table, name = "neigh", of
	}
	return "/proc/sys/net/" + family + "/" + table + "/" + nic + "/" + name
}

// sysctlName is a sysctl as users write it.
func sysctlName(nic, key string) string {
	name := strings.TrimPrefix(sysctlPath(nic, key), "/proc/sys/")
	if strings.Contains(nic, ".") {
		return name // sysctl takes both
	}
	return strings.ReplaceAll(name, "/", ".")
}

// readSysctl returns false where the kernel has no such setting, or where it was never set (stable_secret).
func readSysctl(nic, key string) (string, bool) {
	b, err := os.ReadFile(sysctlPath(nic, key))
	return strings.TrimSpace(string(b)), err == nil
}

// writeSysctl writes a value that differs; settings that are not there are left alone.
func (h *Host) writeSysctl(nic, key, value string) error {
	old, err := os.ReadFile(sysctlPath(nic, key))
	if errors.Is(err, os.ErrNotExist) || err == nil && strings.TrimSpace(string(old)) == value {
		return nil
	}
	what := fmt.Sprintf("set %s of %s to %s", key, nic, value)
	if err := h.at(what); err != nil {
		return err
	}
	// No O_CREATE and no O_TRUNC: this is a setting, not a file.
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

// restoreSysctls writes those of the values that are named.
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

// restoreFamily gives a NIC whose settings began anew, with the defaults of this host, those back whose key has the
// prefix, but for those that a takeover changes, and those that somebody, or a router, has changed since: they are not the
// default. Those that its token needed were changed by us.
func (h *Host) restoreFamily(nic string, m *journal.Member, prefix string) error {
	var keys []string
	for _, s := range linkSettings {
		if !strings.HasPrefix(s.key, prefix) || slices.Contains(changedSysctls, s.key) || s.whyNot != "" {
			continue
		}
		forToken := m.Token != "" && slices.ContainsFunc(tokenSettings, func(t tokenSetting) bool { return t.key == s.key })
		if isDefault(nic, s.key) || forToken {
			keys = append(keys, s.key)
		}
	}
	return h.restoreSysctls(nic, m.Sysctls, keys...)
}

// isDefault reports whether a setting may be as a link begins with it.
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
