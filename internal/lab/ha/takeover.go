// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// takeover waits until vsbak has both addresses, and says when.
func (t *Traffic) takeover(ctx context.Context, r *Result, begun time.Time) {
	s := t.site
	if err := s.AwaitMaster(ctx, s.VSBak); err != nil {
		r.broken("%v", err)
		return
	}
	for _, a := range []netip.Addr{ServiceAddress, GatewayAddress} {
		at, _ := s.Holders.Came(a, s.VSBak.Label, begun)
		r.Moved = max(r.Moved, at.Sub(begun))
	}
	if r.Moved > s.takeoverLimit() {
		r.late("the addresses moved after %v, want at most %v", r.Moved, s.takeoverLimit())
	}
}

// handBack waits until vs1 has the addresses again. No request fails for it; that a few do, which began in the moment
// in which one address has moved and the other one has not, is judged with the times.
func (t *Traffic) handBack(ctx context.Context, r *Result, begun time.Time) {
	s := t.site
	if err := s.AwaitMaster(ctx, s.VS1); err != nil {
		r.broken("%v", err)
		return
	}
	if err := pause(ctx, time.Second); err != nil {
		r.broken("%v", err)
	}
	switch a, _ := t.Between(begun, time.Now()); {
	case a.Failed > a.Asked/50:
		r.broken("hand-back: %d requests of %d failed: %v", a.Failed, a.Asked, a.First)
	case a.Failed > 0:
		r.late("hand-back: %d requests of %d failed: %v", a.Failed, a.Asked, a.First)
	}
}

// checkBoth: two directors have an address at most for one advert.
func (t *Traffic) checkBoth(r *Result, begun time.Time) {
	for _, a := range []netip.Addr{ServiceAddress, GatewayAddress} {
		r.Both = max(r.Both, t.site.Holders.Both(a, begun))
	}
	if limit := t.site.advertInterval(); r.Both > limit {
		r.late("both directors had an address for %v, want at most %v", r.Both, limit)
	}
}

// connections checks what lives through a takeover if connections are kept.
func (t *Traffic) connections(r *Result, d *Download) {
	if !HasConntrackd() {
		return
	}
	r.check(d.Wait(time.Minute))
	r.check(t.session.Alive())
}

// BothCables pulls both cables of vs1, and plugs them in one after the other.
func (t *Traffic) BothCables(ctx context.Context) *Result {
	s, r := t.site, &Result{Step: "both cables of vs1"}
	d := t.download(ctx)
	defer d.Close()
	r.check(await(ctx, requestLimit, func() bool { return d.Received() > t.sizes.File/16 }))
	begun := time.Now()
	for _, nic := range nics {
		r.check(s.VS1.Cut(nic))
	}
	t.takeover(ctx, r, begun)
	t.connections(r, d)
	_, r.Beat = t.Between(begun, time.Now())

	before, err := s.VS1.strays()
	r.check(err)
	back := time.Now()
	r.check(s.VS1.Mend(nics[0]))
	r.check(s.VS1.awaitMembers(ctx, 1))
	r.check(pause(ctx, time.Second))
	r.check(s.VS1.Mend(nics[1]))
	t.handBack(ctx, r, back)
	after, err := s.VS1.strays()
	r.check(err)
	if after != before {
		r.broken("%d packets for the address reached vs1 before it had it", after-before)
	}
	t.checkBoth(r, begun)
	r.check(s.VS1.awaitMembers(ctx, len(nics)))
	r.Answers = t.requests.Between(begun, time.Now())
	return r
}

// KillKeepalived kills keepalived on vs1 and starts it again.
func (t *Traffic) KillKeepalived(ctx context.Context) *Result {
	s, r := t.site, &Result{Step: "kill -9 of keepalived on vs1"}
	d := t.download(ctx)
	defer d.Close()
	r.check(await(ctx, requestLimit, func() bool { return d.Received() > t.sizes.File/16 }))
	begun := time.Now()
	s.VS1.end("keepalived", unix.SIGKILL)
	t.takeover(ctx, r, begun)
	t.connections(r, d)
	back := time.Now()
	// What the dead one has started ends with it.
	r.check(await(ctx, 5*time.Second, func() bool { return len(s.VS1.processes("keepalived")) == 0 }))
	r.check(s.VS1.StartKeepalived())
	t.handBack(ctx, r, back)
	t.checkBoth(r, begun)
	r.Answers, r.Beat = t.Between(begun, time.Now())
	return r
}

// HostDies ends vs1 as a power cut does: its cables lose their light and everything on it is killed. vs1 does not
// return.
func (t *Traffic) HostDies(ctx context.Context) *Result {
	s, r := t.site, &Result{Step: "vs1 dies"}
	d := t.download(ctx)
	defer d.Close()
	r.check(await(ctx, requestLimit, func() bool { return d.Received() > t.sizes.File/16 }))
	begun := time.Now()
	for _, nic := range nics {
		r.check(s.VS1.cables[nic].Close())
	}
	s.VS1.kill("") // every process of the host
	err := await(ctx, 15*time.Second, func() bool {
		_, ok := s.Holders.Came(ServiceAddress, s.VSBak.Label, begun)
		_, too := s.Holders.Came(GatewayAddress, s.VSBak.Label, begun)
		return ok && too
	})
	if err != nil {
		r.broken("vsbak does not get the addresses: %v\n%s", err, s.VSBak.Log("keepalived"))
		return r
	}
	for _, a := range []netip.Addr{ServiceAddress, GatewayAddress} {
		at, _ := s.Holders.Came(a, s.VSBak.Label, begun)
		r.Moved = max(r.Moved, at.Sub(begun))
	}
	if r.Moved > s.takeoverLimit() {
		r.late("the addresses moved after %v, want at most %v", r.Moved, s.takeoverLimit())
	}
	t.connections(r, d)
	r.Answers, r.Beat = t.Between(begun, time.Now())
	return r
}

// Steps are the failures after which everything is as before, each by a name.
func (t *Traffic) Steps() map[string]func(context.Context) *Result {
	s := t.site
	all := map[string]func(context.Context) *Result{
		"nothing": t.Nothing, "both cables of vs1": t.BothCables, "nicteam killed": t.KillTeam,
		"keepalived killed": t.KillKeepalived,
	}
	for _, h := range []*Server{s.VS1, s.Real[0]} {
		for _, nic := range nics {
			all[fmt.Sprintf("%s %s", h.Label, nic)] = func(ctx context.Context) *Result { return t.Cable(ctx, h, nic) }
		}
	}
	if s.HasSwitches() {
		all["switch a"] = t.Switch
	}
	return all
}
