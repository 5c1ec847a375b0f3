// SPDX-License-Identifier: MIT

package managers

import "context"

// ServedBy returns, by name, which manager of this network namespace configures each link. Links that none configures
// are missing. o.Team and o.StateDir do not matter.
func ServedBy(ctx context.Context, o Options, links []NIC) map[string]string {
	t := New(o)
	b, err := dial(ctx, t.o.Bus)
	if err != nil {
		return nil
	}
	defer b.close()
	by := map[string]string{}
	if b.serves(ctx, networkdName) {
		n := t.networkd()
		for _, l := range links {
			if n.link(l.Index).managed() {
				by[l.Name] = "systemd-networkd"
			}
		}
	}
	if b.serves(ctx, nmName) {
		for _, l := range links {
			if d, err := b.device(ctx, l.Name); err == nil && d.served() && b.connection(ctx, d) != "" {
				by[l.Name] = "NetworkManager"
			}
		}
	}
	return by
}
