// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"nicteam/internal/atomicfile"
	"nicteam/internal/dhcp"
	"nicteam/internal/frame"
	"nicteam/internal/host"
)

// leaseStateSchema names the document in the lease file. It lies in the state directory: a lease outlives a boot.
const leaseStateSchema = "nicteam.leases/v1"

// maxLeaseState bounds the file, in bytes: maxLeaseClients leases with all that a server may send are some 3 MB.
const maxLeaseState = 16 << 20

type leaseStateDocument struct {
	Schema string       `json:"schema"`
	Leases []savedLease `json:"leases"`
}

type savedLease struct {
	MAC  frame.MAC `json:"mac"`
	Main bool      `json:"main,omitempty"` // of address=dhcp
	dhcp.Lease
}

var errLeaseState = errors.New("inconsistent leases")

func parseLeaseState(b []byte) ([]savedLease, error) {
	var d leaseStateDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, errors.Join(errLeaseState, err)
	}
	if d.Schema != leaseStateSchema || len(d.Leases) > maxLeaseClients {
		return nil, errLeaseState
	}
	for _, l := range d.Leases {
		if l.MAC == 0 || l.MAC.Multicast() || !l.Valid() {
			return nil, errLeaseState
		}
	}
	return d.Leases, nil
}

// save writes the leases for the next process. The caller holds mu.
func (d *dhcpClients) save() {
	doc := leaseStateDocument{Schema: leaseStateSchema, Leases: []savedLease{}}
	for _, c := range d.list {
		if c.applied.Address.IsValid() && c.applied.Server.IsValid() {
			doc.Leases = append(doc.Leases, savedLease{c.mac, c.main, c.applied})
		}
	}
	path := d.s.dirs.LeaseFile(d.s.team.Config().Team)
	if len(doc.Leases) == 0 {
		atomicfile.Remove(path)
		return
	}
	if err := writeState(path, doc); err != nil {
		d.log.Warn("leases not saved: the next start may get another address", "err", err)
	}
}

// load makes clients for the leases that an earlier process left. With always, one of them, or a new one, is that of
// address=dhcp; without, a lease that is not on the adapter is asked for only if the adapter has no address.
func (d *dhcpClients) load(team string, always bool) {
	saved, err := d.read(team)
	if err != nil {
		d.log.Warn("leases discarded", "team", team, "err", err)
	}
	now := dhcp.Now()
	saved = slices.DeleteFunc(saved, func(l savedLease) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) })
	there, addressed, err := d.s.host.LeasesOn(d.s.adapter.Index())
	if err != nil {
		d.log.Warn("leases not read", "team", team, "err", err)
	}
	needMain := always
	for _, l := range saved {
		c := dhcp.Config{MAC: l.MAC, ClientIDs: [][]byte{l.ClientID}}
		i := slices.IndexFunc(there, func(t host.Lease) bool { return t.Address.Addr() == l.Address.Addr() })
		switch {
		case i >= 0:
			c.Lease = l.Lease
			c.Lease.Address = there[i].Address
			if end := now.Add(there[i].Left); end.Before(c.Lease.Expires) {
				c.Lease.Expires = end
			}
			there = slices.Delete(there, i, i+1)
		case always && needMain || !always && !addressed:
			c.Want, c.Remembered = l.Address.Addr(), true
		default:
			continue
		}
		d.add(c, needMain)
		needMain = false
	}
	switch {
	case !needMain:
	case len(there) > 0: // the lease that a member's client acquired
		c := d.configOf(there[0].Address.Addr())
		c.Lease = dhcp.TakenOver(now, there[0].Address, there[0].Left, there[0].Total)
		d.add(c, true)
	default:
		c := dhcp.Config{}
		for _, nic := range d.s.presentMembers() {
			if len(d.others) > 0 && d.s.isMACDonor(nic) {
				c.ClientIDs = d.clientIDs(nic, d.s.adapter.MAC())
			}
		}
		d.add(c, true)
	}
}

func (d *dhcpClients) read(team string) ([]savedLease, error) {
	b, err := readState(d.s.dirs.LeaseFile(team), maxLeaseState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLeaseState(b)
}
