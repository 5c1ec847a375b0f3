// SPDX-License-Identifier: MIT

package managers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// serveNM makes NetworkManager serve the adapter in place of the members: first the adapter, so that there is no moment
// without DNS servers.
func (t *Team) serveNM(ctx context.Context, b *bus, l Links) (steps []string, err error) {
	r, err := t.returnNM(ctx, b, l)
	if err != nil {
		return nil, err
	}
	var from device
	var alone []device
	var names, kept []string
	for _, m := range l.Members {
		d, err := b.device(ctx, m.Name)
		if err != nil || !d.served() {
			continue
		}
		uuid := b.connection(ctx, d)
		if uuid == "" {
			continue
		}
		if b.needsNM(ctx, d) {
			kept = append(kept, m.Name)
			continue
		}
		if from.path == "" {
			if from = d; !l.Own {
				r.NM.NIC = cmp.Or(r.NM.NIC, m.Name)
			}
		}
		alone, names = append(alone, d), append(names, m.Name)
		r.NM.Members = slices.DeleteFunc(r.NM.Members, func(known nmMember) bool { return known.Name == m.Name })
		r.NM.Members = append(r.NM.Members, nmMember{m.Name, uuid})
	}
	var failed error
	if len(kept) > 0 {
		failed = fmt.Errorf("%s would lose the link without it (Wi-Fi, 802.1X)", strings.Join(kept, ", "))
	}
	if len(alone) == 0 {
		return nil, failed // NetworkManager has nothing to do with the members, or leaves them alone
	}
	if err := t.save(r); err != nil { // before the first change: GiveBack undoes it
		return nil, err
	}
	if !l.Own {
		step, err := t.serveAdapterNM(ctx, b, l, from, r.NM.NIC)
		if err != nil {
			return nil, err // better a fight than NICs and an adapter that nobody serves
		}
		if step != "" {
			steps = append(steps, step)
		}
	}
	for _, d := range alone {
		failed = errors.Join(failed, b.setManaged(ctx, d, false))
	}
	if failed == nil || len(kept) > 0 {
		steps = append(steps, "NetworkManager leaves "+strings.Join(names, ", ")+" alone")
	}
	return steps, failed
}

// returnNM makes NetworkManager serve members again that have left the team, all but the one in whose place it serves
// the adapter: two links with one client identifier would fight.
func (t *Team) returnNM(ctx context.Context, b *bus, l Links) (record, error) {
	r := t.load()
	var failed error
	r.NM.Members = slices.DeleteFunc(slices.Clone(r.NM.Members), func(m nmMember) bool {
		member := slices.ContainsFunc(l.Members, func(nic NIC) bool { return nic.Name == m.Name })
		if member || m.Name == r.NM.NIC {
			return false
		}
		if d, err := b.device(ctx, m.Name); err == nil && !d.managed {
			failed = errors.Join(failed, b.serveAgain(ctx, d, m.UUID))
		}
		return true
	})
	return r, errors.Join(failed, t.save(r))
}

// serveAgain makes NetworkManager serve a NIC by its profile. By itself it would only look on at one that has
// addresses.
func (b *bus) serveAgain(ctx context.Context, d device, uuid string) error {
	if err := b.setManaged(ctx, d, true); err != nil {
		return err
	}
	return b.reactivate(ctx, d, uuid)
}

// needsNM reports whether a NIC has a link only by NetworkManager: it starts the supplicant.
func (b *bus) needsNM(ctx context.Context, d device) bool {
	if d.kind == nmWiFi {
		return true
	}
	s, err := b.applied(ctx, d)
	return err == nil && len(s["802-1x"]) > 0
}

// serveAdapterNM makes NetworkManager serve the adapter as it does a NIC, unless it serves it already.
func (t *Team) serveAdapterNM(ctx context.Context, b *bus, l Links, from device, nic string) (string, error) {
	adapter := l.Adapter
	d, err := b.awaitDevice(ctx, adapter.Name)
	if err != nil {
		return "", err
	}
	if b.connection(ctx, d) != "" {
		return "", nil // ours, or one that somebody made for the adapter
	}
	s, err := b.applied(ctx, from)
	if err != nil {
		return "", err
	}
	p := profile(t.o.Team, adapter.Name, s, from.kind)
	p.setClientIDs(b.clientIDs(ctx, from))
	p.setToken(l.token(nic))
	if p["tun"], err = b.tunSettings(ctx, d); err != nil {
		return "", err
	}
	err = t.guarded(ctx, []NIC{adapter}, func(ctx context.Context) error { return b.activate(ctx, d, p) },
		b.activated(ctx))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("NetworkManager serves %s in place of %s", adapter.Name, nic), nil
}

// releaseNM makes NetworkManager serve the NICs again. The adapter's profile went with the adapter.
func (t *Team) releaseNM(ctx context.Context, b *bus) (steps []string, err error) {
	r := t.load()
	if len(r.NM.Members) == 0 || b == nil {
		return nil, nil
	}
	var nics []NIC
	var names []string
	back := map[string]device{} // by UUID
	for _, m := range r.NM.Members {
		d, err := b.device(ctx, m.Name)
		if err != nil || d.managed {
			continue // it has gone, or somebody was quicker
		}
		back[m.UUID], names = d, append(names, m.Name)
		if nic, err := nicNamed(m.Name); err == nil {
			nics = append(nics, nic)
		}
	}
	r.NM = nmRecord{}
	if len(back) == 0 {
		return nil, t.save(r)
	}
	err = t.guarded(ctx, nics, func(ctx context.Context) error {
		var failed error
		for uuid, d := range back {
			failed = errors.Join(failed, b.serveAgain(ctx, d, uuid))
		}
		return failed
	}, b.activated(ctx))
	if err != nil {
		return nil, err
	}
	return []string{"NetworkManager serves " + strings.Join(names, ", ") + " again"}, t.save(r)
}

// activated returns a function that reports whether NetworkManager has activated all links.
func (b *bus) activated(ctx context.Context) func([]NIC) bool {
	return func(links []NIC) bool {
		for _, l := range links {
			if d, err := b.device(ctx, l.Name); err != nil || d.state != nmActivated {
				return false
			}
		}
		return true
	}
}
