package daemon

import (
	"context"
	"errors"
	"fmt"

	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/team"
)

// What becomes of the adapter's MTU and of members' name, MTU and MAC by other hands:
//
//	the adapter's MTU    members come along; where one cannot, the adapter's is put back and a warning says why
//	a member's MTU       the control loop is told: one that is too small is not used while another can carry
//	a member's MAC       the control loop is told: the Plan has the new one, peers hear of it
//	a member's name      it is managed by the new one; journal and configuration have it. A member that is away, and whose name
//	                     that was, is waited for by the one that is left

// mtuKey is the warning that the adapter does not have the MTU that somebody gave it, or has no IPv6 by it. It stands
// until the next change.
const mtuKey = "adapter mtu"

// followMTU takes the members along to the MTU that somebody gave the adapter, or puts the adapter's back.
func (s *session) followMTU(ctx context.Context, a host.LinkFacts) error {
	if err := s.setMTU(ctx, a.MTU); err != nil {
		err = errors.Join(err, s.host.SetMTU(s.adapter.Index(), s.mtu, nil))
		why := fmt.Sprintf("the MTU of %s was set to %d and is put back to %d: %v", a.Name, a.MTU, s.mtu, err)
		s.team.Record("mtu-refused", "", why)
		return s.team.Warn(ctx, mtuKey, why)
	}
	if a.MTU < host.MinMTUIPv6 {
		text := fmt.Sprintf("the MTU of %s was set to %d, and below %d there is no IPv6", a.Name, a.MTU, host.MinMTUIPv6)
		return s.team.Warn(ctx, mtuKey, text)
	}
	return nil
}

// setMTU gives adapter and members an MTU, all or none of them. The control loop knows of each member as it comes: one
// that is too small yet is not used once another can carry. The caller holds changing.
func (s *session) setMTU(ctx context.Context, mtu int) error {
	was := s.mtu
	s.mtu = mtu
	if err := s.host.SetMTU(s.adapter.Index(), mtu, func() { _, _ = s.reportLinks(ctx, false) }); err != nil {
		s.mtu = was
		return errors.Join(err, s.syncLinks(ctx))
	}
	return errors.Join(s.syncLinks(ctx), s.team.Warn(ctx, mtuKey, ""))
}

// beginFollowing has the control loop know the adapter's MTU, now that the members have it.
func (s *session) beginFollowing(ctx context.Context, mtu int) error {
	s.mtu = mtu
	return s.syncLinks(ctx)
}

// syncLinks tells the control loop what the kernel says of the links, where it believes otherwise, and has journal and
// configuration know members as they are.
func (s *session) syncLinks(ctx context.Context) error {
	renamed, err := s.reportLinks(ctx, true)
	if renamed {
		err = errors.Join(err, s.saveConfig())
	}
	return err
}

// reportLinks tells the control loop of MTUs, and with names of names and MACs as well, which the journal knows first: not
// while the host is busy.
func (s *session) reportLinks(ctx context.Context, names bool) (renamed bool, err error) {
	o := team.Observed{MTU: s.mtu}
	var changed []host.Renamed
	renames, missing := map[string]string{}, settings.Config{Members: s.missing}.MemberNames()
	for _, m := range s.team.Members() {
		if m.State == "absent" {
			missing = append(missing, m.Name)
			continue
		}
		n, err := s.host.Facts(m.Index)
		if err != nil {
			missing = append(missing, m.Name)
			continue // gone: its link watch tells
		}
		if other := n.Name != m.Name || n.MAC.String() != m.MAC; other && !names {
			continue
		} else if other {
			changed = append(changed, host.Renamed{Was: m.Name, Name: n.Name, MAC: n.MAC})
			if n.Name != m.Name {
				renames[m.Name], renamed = n.Name, true
			}
		} else if n.MTU == m.MTU {
			continue
		}
		o.NICs = append(o.NICs, team.ObservedNIC{Link: team.Link{Name: n.Name, Index: m.Index, MAC: n.MAC}, MTU: n.MTU})
	}
	if len(o.NICs) == 0 && s.reportedMTU == s.mtu {
		return false, nil
	}
	for _, name := range missing {
		if left := team.NameLeft(name, renames); left != name {
			changed = append(changed, host.Renamed{Was: name, Name: left})
		}
	}
	if len(changed) > 0 {
		err = s.host.MembersRenamed(changed)
	}
	s.reportedMTU = s.mtu
	err = errors.Join(err, s.team.Observe(ctx, o))
	return renamed, errors.Join(err, s.renameMissing(ctx, renames))
}
