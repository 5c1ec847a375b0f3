package config

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

const (
	maxPriority = 65535
	maxKey      = 1023
	keyNote     = "it is the upper bits of the ports' keys"
)

// portPriority is the key of a member's setting, and with a NIC behind a dot that of nicteam set.
const portPriority = "port_priority"

// lacpKeys are the settings that mean nothing outside 802.3ad. They are refused there and left out of files; a team that
// changes its mode while it runs remembers them.
var lacpKeys = []string{"lacp_rate", "lacp_active", "lacp_fallback", "ad_select", "lacp_system", "lacp_system_priority", "lacp_key"}

// lacpFault refuses a setting of 802.3ad that was given in another mode.
func lacpFault(c settings.Config, given string) *fault {
	if c.Mode == modes.LACP || given == "" {
		return nil
	}
	return &fault{key: given, what: fmt.Sprintf("is not for mode %v", c.Mode), why: "only 802.3ad speaks LACP", fix: "use mode 802.3ad, or leave it out"}
}

// isLACP reports whether a key as people type it is one of 802.3ad.
func isLACP(key string) bool {
	k := canonical(key)
	return slices.Contains(lacpKeys, k) || k == portPriority || strings.HasPrefix(k, portPriority+".")
}

// lacpGiven is the first setting of 802.3ad that somebody gave, "" none.
func (l *loader) lacpGiven() string {
	for _, key := range lacpKeys {
		if l.v.IsSet(key) {
			return key
		}
	}
	if _, ok := l.origin[portPriority]; ok {
		return portPriority
	}
	for _, path := range sortedKeys(l.lines) {
		if strings.HasSuffix(path, "."+portPriority) {
			return path
		}
	}
	return ""
}

// parseLACP understands the words of 802.3ad.
func parseLACP(d *document, c *settings.Config) *fault {
	rate, f := parseNumbered("lacp_rate", string(d.LACPRate), []string{"slow", "fast"})
	if f != nil {
		return f
	}
	sel, f := parseNumbered("ad_select", selectWord(string(d.ADSelect)), selectNames())
	if f != nil {
		return f
	}
	system, f := parseSystem(d.LACPSystem)
	if f != nil {
		return f
	}
	if f := between("lacp_system_priority", d.LACPSystemPriority, 0, maxPriority, "the lower one's port priorities count"); f != nil {
		return f
	}
	if f := between("lacp_key", d.LACPKey, 0, maxKey, keyNote); f != nil {
		return f
	}
	for i, m := range d.Members {
		if f := priorityFault(fmt.Sprintf("members[%d].%s", i, portPriority), m.Name, m.PortPriority); f != nil {
			return f
		}
	}
	c.LACP = modes.LACPSettings{Fast: rate == 1, Active: bool(d.LACPActive), Fallback: bool(d.LACPFallback), Select: lacp.Select(sel),
		System: system, SystemPriority: uint16(d.LACPSystemPriority), Key: uint16(d.LACPKey)}
	return nil
}

// parseNumbered finds s in list; the kernel's number of a word does too.
func parseNumbered(key, s string, list []string) (int, *fault) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(list) {
		return n, nil
	}
	return parseWord(key, s, list)
}

func selectNames() []string {
	var list []string
	for _, s := range lacp.Selects() {
		list = append(list, s.String())
	}
	return list
}

// selectWord is our word for what the kernel calls a policy.
func selectWord(s string) string {
	if strings.EqualFold(s, "actor_port_prio") || strings.EqualFold(s, "port_priority") {
		return lacp.PortPriority.String()
	}
	return s
}

const systemFix = "write auto, random, or a MAC such as 02:00:00:00:00:01"

// parseSystem reads who we are to partners. What is random is drawn here, once, and kept as the MAC that it became.
func parseSystem(s string) (frame.MAC, *fault) {
	switch strings.ToLower(s) {
	case "auto":
		return 0, nil
	case "random":
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails
		b[0] = b[0]&^1 | 2     // unicast, locally administered
		return frame.MACAt(b[:], 0), nil
	}
	m, err := frame.ParseMAC(s)
	if err != nil {
		return 0, &fault{key: "lacp_system", what: fmt.Sprintf("%q is not a MAC", s), why: "a MAC has six octets", fix: systemFix}
	}
	return m, systemFault(m, s)
}

func systemFault(m frame.MAC, text string) *fault {
	switch {
	case m == 0:
		return &fault{key: "lacp_system", what: text + " cannot be a system's address", why: "it is nobody's address", fix: systemFix}
	case m.Multicast():
		return &fault{key: "lacp_system", what: text + " cannot be a system's address", why: "it is the address of a group", fix: systemFix}
	}
	return nil
}

func systemWord(m frame.MAC) string {
	if m == 0 {
		return "auto"
	}
	return m.String()
}

func rateWord(fast bool) name {
	if fast {
		return "fast"
	}
	return "slow"
}

func priorityFault(key, nic string, n int) *fault {
	if n >= 0 && n <= maxPriority {
		return nil
	}
	return &fault{key: key, what: fmt.Sprintf("%d of %s is out of range", n, nic), why: fmt.Sprintf("allowed is 0 to %d; the lower the better", maxPriority), fix: fmt.Sprintf("write a number from 0 to %d", maxPriority)}
}

// validateLACP holds for configurations that were made of no words.
func validateLACP(c settings.Config) *fault {
	if c.LACP.System != 0 {
		if f := systemFault(c.LACP.System, c.LACP.System.String()); f != nil {
			return f
		}
	}
	if c.LACP.Select > lacp.PortPriority {
		return &fault{key: "ad_select", what: "no such policy", why: "it is not one of the four", fix: "allowed are " + oneOf(selectNames())}
	}
	return between("lacp_key", int(c.LACP.Key), 0, maxKey, keyNote)
}

// MarshalYAML leaves out of a file what its mode has no use for and would refuse.
func (d document) MarshalYAML() (any, error) {
	type plain document
	var n yaml.Node
	if err := n.Encode(plain(d)); err != nil {
		return nil, err
	}
	if a, err := modes.ParseAlias(string(d.Mode)); err == nil && a.Kind != modes.LACP {
		without(&n, lacpKeys...)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "members" {
				for _, m := range n.Content[i+1].Content {
					without(m, portPriority)
				}
			}
		}
	}
	return &n, nil
}

// without takes keys out of a map.
func without(n *yaml.Node, keys ...string) {
	for i := 0; i+1 < len(n.Content); {
		if slices.Contains(keys, n.Content[i].Value) {
			n.Content = slices.Delete(n.Content, i, i+2)
		} else {
			i += 2
		}
	}
}
