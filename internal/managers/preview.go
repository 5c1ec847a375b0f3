// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"fmt"
	"strings"
)

// programs are the managers that a team tells of its adapter: name on the bus, and of the process.
var programs = map[string]string{resolvedName: "systemd-resolve", networkdName: "systemd-network",
	nmName: "NetworkManager"}

// Told returns the names of the running programs that a team will tell of its adapter.
func Told(ctx context.Context) (names []string) {
	b, err := dial(ctx, systemBus)
	if err != nil {
		return nil
	}
	defer b.close()
	for name, process := range programs {
		if b.serves(ctx, name) {
			names = append(names, process)
		}
	}
	return names
}

// Telling is what a manager will be told of a team.
type Telling struct {
	Manager string
	Leaves  []string // links that it leaves alone
	Serves  string   // the NIC in whose place it serves the adapter; "": it does not
	Servers string   // DNS servers that systemd-resolved asks through the adapter
	Files   []string // written for it
}

// Preview returns what TakeOver would do, as far as it can be known before the adapter is there.
func (t *Team) Preview(ctx context.Context, l Links) (list []Telling) {
	b, err := dial(ctx, t.o.Bus)
	if err != nil {
		return nil
	}
	defer b.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.serves(ctx, networkdName) {
		if p, ok := t.planNetworkd(l, true); ok && len(p.members) > 0 {
			n := t.networkd()
			told := Telling{Manager: "systemd-networkd", Leaves: p.alone, Serves: p.served.NIC}
			if told.Serves != "" {
				told.Files = append(told.Files, n.adapterFile())
			}
			told.Files = append(told.Files, n.membersFile())
			list = append(list, told)
		}
	}
	if b.serves(ctx, nmName) {
		told := Telling{Manager: "NetworkManager"}
		for _, m := range l.Members {
			d, err := b.device(ctx, m.Name)
			if err == nil && d.served() && b.connection(ctx, d) != "" && !b.needsNM(ctx, d) {
				told.Leaves = append(told.Leaves, m.Name)
			}
		}
		if len(told.Leaves) > 0 {
			if !l.Own {
				told.Serves = told.Leaves[0]
			}
			list = append(list, told)
		}
	}
	if b.serves(ctx, resolvedName) {
		for _, m := range l.Members {
			if r, err := b.resolverLink(ctx, m.Index); err == nil && len(r.Servers) > 0 {
				list = append(list, Telling{Manager: "systemd-resolved", Servers: r.addresses()})
				break
			}
		}
	}
	return list
}

// Step says in words what a manager would be told of an adapter.
func (t Telling) Step(adapter string) string {
	if t.Servers != "" {
		return fmt.Sprintf("would tell %s to ask %s through %s", t.Manager, t.Servers, adapter)
	}
	step := fmt.Sprintf("would tell %s to leave %s alone", t.Manager, strings.Join(t.Leaves, ", "))
	if t.Serves != "" {
		step += fmt.Sprintf(" and to serve %s in place of %s", adapter, t.Serves)
	}
	return step
}
