// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"

	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/team"
)

// Changes by others to the MTU of the adapter and to name, MTU and MAC of members:
//
//	MTU of the adapter   members follow; if one cannot, the adapter's is restored and a warning says why
//	MTU of a member      reported to the control loop: one whose MTU is too small is unused while another is usable
//	MAC of a member      reported to the control loop: the Plan has it, peers are told
//	name of a member     followed in journal and configuration; a missing NIC of that name gets the other name

// mtuKey is the warning that the adapter does not keep an MTU, or has no IPv6 with it. It stands until the next change.
const mtuKey = "adapter mtu"

// followMTU gives the members the adapter's new MTU, or restores the adapter's.
func (s *session) followMTU(ctx context.Context, a host.LinkState) error {
	if err := s.setMTU(ctx, a.MTU); err != nil {
		err = errors.Join(err, s.host.SetMTU(s.adapter.Index(), s.mtu, nil))
		why := fmt.Sprintf("the MTU of %s was set to %d and restored to %d: %v", a.Name, a.MTU, s.mtu, err)
		s.team.Record("mtu-refused", "", why)
		return s.team.Warn(ctx, mtuKey, why)
	}
	if a.MTU < host.MinMTUIPv6 {
		text := fmt.Sprintf("the MTU of %s is %d: below %d there is no IPv6", a.Name, a.MTU, host.MinMTUIPv6)
		return s.team.Warn(ctx, mtuKey, text)
	}
	return nil
}

// setMTU sets the MTU of adapter and members, of all or none. The control loop learns of each member at once, so that
// it uses no member whose MTU is still too small while another can carry. The caller holds changeMu.
func (s *session) setMTU(ctx context.Context, mtu int) error {
	was := s.mtu
	s.mtu = mtu
	if err := s.host.SetMTU(s.adapter.Index(), mtu, func() { _, _ = s.reportLinks(ctx, false) }); err != nil {
		s.mtu = was
		return errors.Join(err, s.syncLinks(ctx))
	}
	return errors.Join(s.syncLinks(ctx), s.team.Warn(ctx, mtuKey, ""))
}

// syncLinks reports what the kernel says about the links to the control loop, the journal and the configuration.
func (s *session) syncLinks(ctx context.Context) error {
	renamed, err := s.reportLinks(ctx, true)
	if renamed {
		err = errors.Join(err, s.saveConfig())
	}
	return err
}

// reportLinks reports MTUs to the control loop, and with names also names and MACs. These go to the journal first,
// which must not happen during a change of the host.
func (s *session) reportLinks(ctx context.Context, names bool) (renamed bool, err error) {
	o := team.Observed{MTU: s.mtu}
	var changed []host.Renamed
	renames, missing := map[string]string{}, settings.Config{Members: s.missing}.MemberNames()
	for _, m := range s.team.Members() {
		if m.State == "absent" {
			missing = append(missing, m.Name)
			continue
		}
		n, err := s.host.ReadLink(m.Index)
		if err != nil {
			missing = append(missing, m.Name)
			continue // its link watch reports that
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
		if left := team.NameAfterRenames(name, renames); left != name {
			changed = append(changed, host.Renamed{Was: name, Name: left})
		}
	}
	if len(changed) > 0 {
		err = s.host.RecordRenames(changed)
	}
	s.reportedMTU = s.mtu
	s.renamePending(renames)
	err = errors.Join(err, s.team.Observe(ctx, o))
	return renamed, errors.Join(err, s.renameMissing(ctx, renames))
}
