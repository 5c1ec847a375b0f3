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

// Preview returns what TakeOver would do, as far as it can be known before the adapter is there.
func (t *Team) Preview(ctx context.Context, l Links) (steps []string) {
	b, err := dial(ctx, t.o.Bus)
	if err != nil {
		return nil
	}
	defer b.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	tell := func(manager, served string, alone []string) {
		if len(alone) == 0 {
			return
		}
		step := fmt.Sprintf("would tell %s to leave %s alone", manager, strings.Join(alone, ", "))
		if served != "" && !l.Own {
			step += fmt.Sprintf(" and to serve %s in place of %s", l.Adapter.Name, served)
		}
		steps = append(steps, step)
	}
	if b.serves(ctx, networkdName) {
		p, _ := t.planNetworkd(l, true)
		tell("systemd-networkd", p.served.NIC, p.members)
	}
	if b.serves(ctx, nmName) {
		var alone []string
		for _, m := range l.Members {
			if d, err := b.device(ctx, m.Name); err == nil && d.served() && b.connection(ctx, d) != "" {
				alone = append(alone, m.Name)
			}
		}
		if len(alone) > 0 {
			tell("NetworkManager", alone[0], alone)
		}
	}
	if b.serves(ctx, resolvedName) {
		for _, m := range l.Members {
			if r, err := b.resolverLink(ctx, m.Index); err == nil && len(r.Servers) > 0 {
				steps = append(steps, fmt.Sprintf("would tell systemd-resolved to ask %s through %s", r.addresses(),
					l.Adapter.Name))
				break
			}
		}
	}
	return steps
}
