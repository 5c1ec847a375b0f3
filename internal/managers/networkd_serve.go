// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// networkdPlan is what systemd-networkd shall do for a team.
type networkdPlan struct {
	served  networkdRecord // how it serves the adapter; zero: it leaves it alone
	alone   []string       // links that it leaves alone
	members []string       // those of alone that it served before
}

// planNetworkd reads who is served how, and decides. ok is false if systemd-networkd has nothing to do with the team.
func (t *Team) planNetworkd(l Links, runs bool) (p networkdPlan, ok bool) {
	n, known := t.networkd(), t.load().Networkd
	left := n.leftNames()
	for _, m := range l.Members {
		state := n.link(m.Index)
		ours := slices.Contains(left, m.Name) && !state.managed()
		switch {
		case !runs && slices.Contains(known.Members, m.Name): // at a boot, before it starts
		case !ours && !state.managed():
			continue
		case ours && known.NIC == m.Name, ours && known.NIC == "":
		case !ours && p.served.NIC == "":
			p.served = networkdRecord{NIC: m.Name, File: state.file, IAID: state.iaid}
		}
		p.members = append(p.members, m.Name)
	}
	// What the team began with stays, also when that NIC leaves: two links with one client identifier would fight.
	if known.NIC != "" && (len(left) > 0 || !runs && len(p.members) > 0) {
		p.served = known
		if !slices.Contains(p.members, known.NIC) {
			p.members = append(p.members, known.NIC)
		}
	}
	p.served.Members = p.members
	p.alone = slices.Clone(p.members)
	adapter := n.link(l.Adapter.Index)
	named := n.names(l.Adapter.Name)
	switch {
	case named: // somebody has written a file for the adapter
		p.served = networkdRecord{}
	case l.Own, len(p.members) == 0 && adapter.managed():
		p.served = networkdRecord{}
		p.alone = append(p.alone, l.Adapter.Name)
	}
	return p, len(p.members) > 0 || len(p.alone) > 0
}

// names reports whether a .network file of others is for that very link.
func (n networkd) names(link string) bool {
	for _, dir := range networkdDirs {
		files, _ := filepath.Glob(filepath.Join(n.root, dir, "*.network"))
		for _, path := range files {
			if path == n.adapterFile() || path == n.membersFile() {
				continue
			}
			text, _ := os.ReadFile(path)
			for _, s := range networkSections(string(text)) {
				if s.name != "Match" {
					continue
				}
				for _, e := range s.entries {
					key, value, _ := strings.Cut(e, "=")
					if strings.TrimSpace(key) == "Name" && slices.Contains(strings.Fields(value), link) {
						return true
					}
				}
			}
		}
	}
	return false
}

// serveNetworkd makes systemd-networkd serve the adapter in place of the members. b is nil before it runs: then it
// finds the files at its start.
func (t *Team) serveNetworkd(ctx context.Context, b *bus, l Links) (steps []string, err error) {
	n := t.networkd()
	p, ok := t.planNetworkd(l, b != nil)
	if !ok {
		return nil, nil
	}
	for _, name := range append(slices.Clone(p.alone), l.Adapter.Name) {
		if !validName(name) {
			return nil, errName(name)
		}
	}
	changed := false
	if p.served.NIC != "" {
		f := networkFile{team: t.o.Team, adapter: l.Adapter.Name, iaid: p.served.IAID}
		if f.from, f.texts, err = n.sources(p.served.File); err != nil {
			return nil, err
		}
		text := f.String()
		if n.edited(t.load().Networkd.Wrote) {
			p.served.Wrote = t.load().Networkd.Wrote
		} else {
			p.served.Wrote = hashOf(text)
		}
		if err := t.saveNetworkd(p.served); err != nil {
			return nil, err
		}
		if p.served.Wrote == hashOf(text) {
			changed, err = n.write(n.adapterFile(), text)
		}
		if err != nil {
			return nil, err
		}
	} else if err := os.Remove(n.adapterFile()); err == nil {
		changed = true
	}
	more, err := n.write(n.membersFile(), unmanagedFile(t.o.Team, p.alone))
	if err != nil || b == nil {
		return nil, err
	}
	stale := n.stale(p, l.Adapter) && time.Since(t.reloaded) > reloadGap
	if !changed && !more && !stale {
		return nil, nil
	}
	t.reloaded = time.Now()
	var guarded []NIC
	if p.served.NIC != "" && (changed || stale) {
		guarded = []NIC{l.Adapter}
		steps = append(steps, fmt.Sprintf("systemd-networkd serves %s in place of %s, by %s", l.Adapter.Name,
			p.served.NIC, p.served.File))
	}
	steps = append(steps, "systemd-networkd leaves "+strings.Join(p.alone, ", ")+" alone")
	return steps, t.guarded(ctx, guarded, b.reloadNetworkd, n.begun)
}

// reloadGap bounds how often systemd-networkd is told of files that it does not follow.
const reloadGap = 30 * time.Second

// stale reports whether systemd-networkd has not read our files: they were there before it was on the bus.
func (n networkd) stale(p networkdPlan, adapter NIC) bool {
	for _, name := range p.members {
		if nic, err := nicNamed(name); err == nil && n.link(nic.Index).managed() {
			return true
		}
	}
	return p.served.NIC != "" && n.link(adapter.Index).admin == "unmanaged"
}

// edited reports whether somebody has changed the adapter's file since it was written.
func (n networkd) edited(wrote string) bool {
	have, err := os.ReadFile(n.adapterFile())
	return err == nil && wrote != "" && hashOf(string(have)) != wrote
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// begun reports whether systemd-networkd serves all links, or has begun to.
func (n networkd) begun(links []NIC) bool {
	for _, l := range links {
		if s := n.link(l.Index).admin; s != "configuring" && s != "configured" && s != "failed" {
			return false
		}
	}
	return true
}

// releaseNetworkd gives NICs back to systemd-networkd.
func (t *Team) releaseNetworkd(ctx context.Context, b *bus) (steps []string, err error) {
	n := t.networkd()
	nics := n.leftAlone()
	if removed, err := n.remove(); !removed || b == nil {
		return nil, err
	}
	var names []string
	for _, nic := range nics {
		names = append(names, nic.Name)
	}
	if len(names) > 0 {
		steps = []string{"systemd-networkd serves " + strings.Join(names, ", ") + " again"}
	}
	return steps, t.guarded(ctx, nics, b.reloadNetworkd, n.begun)
}

// leftNames are the names in membersFile.
func (n networkd) leftNames() []string {
	text, _ := os.ReadFile(n.membersFile())
	for _, s := range networkSections(string(text)) {
		for _, e := range s.entries {
			if names, ok := strings.CutPrefix(e, "Name="); ok && s.name == "Match" {
				return strings.Fields(names)
			}
		}
	}
	return nil
}

// leftAlone are the links in membersFile that are there.
func (n networkd) leftAlone() (nics []NIC) {
	for _, name := range n.leftNames() {
		if nic, err := nicNamed(name); err == nil {
			nics = append(nics, nic)
		}
	}
	return nics
}

func nicNamed(name string) (NIC, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return NIC{}, err
	}
	return NIC{name, i.Index}, nil
}
