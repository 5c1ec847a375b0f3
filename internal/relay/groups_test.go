// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	solicited frame.MAC = 0x3333ff000001
	mdns      frame.MAC = 0x01005e0000fb
	routers   frame.MAC = 0x333300000002
)

// NICs have the groups of the Plan in their lists, those only that may receive them, and nothing of it is left.
func TestGroups(t *testing.T) {
	g := newRig(t, 2)
	before := []string{g.groupsOf("m0"), g.groupsOf("m1")}
	apply := func(members spread.MemberSet, all bool, groups ...frame.MAC) {
		t.Helper()
		pl := g.plan(spread.RuleSingle)
		pl.GroupMembers, pl.AllMulti, pl.Groups = members, all, groups
		g.apply(pl)
		for id := range 2 {
			name := fmt.Sprintf("m%d", id)
			var want []frame.MAC
			if members.Has(id) {
				want = groups
			}
			labtest.Eventually(t, fmt.Sprintf("%s in %v, allmulti %v", name, want, all), func() bool {
				have := g.groupsOf(name)
				for _, m := range []frame.MAC{solicited, mdns, routers} {
					if strings.Contains(have, hex(m)) != slices.Contains(want, m) {
						return false
					}
				}
				return strings.Contains(have, hex(slowProtocols)) &&
					strings.Contains(labtest.Run(t, g.host, "ip", "-d", "link", "show", name), "allmulti 1") == (all &&
						members.Has(id))
			})
		}
	}
	apply(0b01, false, solicited, mdns)
	apply(0b11, false, solicited, mdns)
	apply(0b10, false, mdns, routers)
	apply(0b11, true)
	apply(0b01, false, solicited)
	apply(0b11, false, solicited, mdns, routers)
	for id := range 2 {
		labtest.Must(t, g.relay.Leave(id))
	}
	// The members of the rig were open before as well, and in LACP's group.
	for i, name := range []string{"m0", "m1"} {
		want := slices.DeleteFunc(strings.Split(before[i], "\n"), func(l string) bool {
			return strings.Contains(l, hex(slowProtocols))
		})
		if d := cmp.Diff(strings.Join(want, "\n"), g.groupsOf(name)); d != "" {
			t.Errorf("groups of %s after Leave, -before +after\n%s", name, d)
		}
	}
}

// hex is m as /proc/net/dev_mcast has it.
func hex(m frame.MAC) string { return fmt.Sprintf("%012x", uint64(m)) }

// groupsOf is a NIC's multicast list.
func (g *rig) groupsOf(name string) string {
	g.Helper()
	var mine []string
	labtest.Must(g, g.host.Do(func() error {
		all, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
		for l := range strings.Lines(string(all)) {
			if strings.Fields(l)[1] == name {
				mine = append(mine, strings.TrimSpace(l))
			}
		}
		return err
	}))
	return strings.Join(mine, "\n")
}

// A NIC that cannot be given a group is named.
func TestRefusedGroupsAreReported(t *testing.T) {
	g := newRig(t, 1)
	// A TUN device has no addresses: the kernel refuses to give it one to filter.
	a := netlink.NewLinkAttrs()
	a.Name = "m1"
	labtest.Must(t, g.host.Do(func() error {
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TUN})
	}))
	l, err := g.host.Handle().LinkByName("m1")
	labtest.Must(t, err)
	g.links = append(g.links, team.Link{Name: "m1", Index: l.Attrs().Index, MAC: memberMAC(1)})
	g.join(1)
	pl := g.plan(spread.RuleSingle)
	pl.GroupMembers, pl.Groups = 0b11, []frame.MAC{solicited}
	g.apply(pl)
	late := time.After(labtest.Patience)
	for told := false; !told; {
		select {
		case c := <-g.relay.Control():
			if c.Kind != team.ControlGroups {
				continue
			}
			if told = true; c.Member != 1 || !errors.Is(c.Err, unix.EINVAL) {
				t.Errorf("reported %+v", c)
			}
		case <-late:
			t.Fatal("not reported")
		}
	}
	labtest.Eventually(t, "m0 in the group", func() bool { return strings.Contains(g.groupsOf("m0"), hex(solicited)) })
}

// filterOf is a NIC as its driver may be.
type filterOf struct {
	room     int   // for groups
	full     error // what a list that is too long meets
	noAll    error // what allmulti meets
	groups   []frame.MAC
	allMulti bool
}

func (f *filterOf) AddGroups(groups []frame.MAC) error {
	for _, g := range groups {
		if slices.Contains(f.groups, g) {
			continue
		}
		if len(f.groups) == f.room {
			return f.full
		}
		f.groups = append(f.groups, g)
	}
	return nil
}

func (f *filterOf) TrimGroups(groups []frame.MAC) error {
	f.groups = slices.DeleteFunc(f.groups, func(m frame.MAC) bool { return !slices.Contains(groups, m) })
	return nil
}

func (f *filterOf) SetAllMulti(on bool) error {
	if f.noAll != nil {
		return f.noAll
	}
	f.allMulti = on
	return nil
}

func TestGroupFilter(t *testing.T) {
	three := []frame.MAC{solicited, mdns, routers}
	tests := []struct {
		name   string
		nic    filterOf
		groups [][]frame.MAC // one after the other
		all    bool
		want   filterOf
		told   string // of the error
	}{
		{name: "list", nic: filterOf{room: 3}, groups: [][]frame.MAC{three}, want: filterOf{groups: three}},
		{name: "list that shrinks", nic: filterOf{room: 3}, groups: [][]frame.MAC{three, three[:1]},
			want: filterOf{groups: three[:1]}},
		{name: "none", nic: filterOf{room: 3}, groups: [][]frame.MAC{three, nil}},
		{name: "all", nic: filterOf{room: 3}, groups: [][]frame.MAC{nil}, all: true, want: filterOf{allMulti: true}},
		{name: "no slot left", nic: filterOf{room: 2, full: unix.ENOSPC}, groups: [][]frame.MAC{three},
			want: filterOf{groups: three[:2], allMulti: true}, told: "receives all multicast"},
		{name: "no list at all", nic: filterOf{full: unix.EOPNOTSUPP}, groups: [][]frame.MAC{three},
			want: filterOf{allMulti: true}, told: "receives all multicast"},
		{name: "refused, then not wanted", nic: filterOf{full: unix.EOPNOTSUPP}, groups: [][]frame.MAC{three, nil}},
		{name: "nothing", nic: filterOf{full: unix.EOPNOTSUPP, noAll: unix.EOPNOTSUPP}, groups: [][]frame.MAC{three},
			told: "neither IPv6 nor multicast"},
		{name: "allmulti refused and not needed", nic: filterOf{room: 3, noAll: unix.EOPNOTSUPP},
			groups: [][]frame.MAC{three}, want: filterOf{groups: three}},
		{name: "gone", nic: filterOf{full: unix.ENODEV, noAll: unix.ENODEV}, groups: [][]frame.MAC{three}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f groupFilter
			var err error
			for _, groups := range tt.groups {
				err = f.set(&tt.nic, groups, tt.all)
			}
			if tt.told == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.told) {
				t.Errorf("reported %v, want %q", err, tt.told)
			}
			if !slices.Equal(tt.nic.groups, tt.want.groups) || tt.nic.allMulti != tt.want.allMulti {
				t.Errorf("NIC accepts %v, all %v; want %v, all %v", tt.nic.groups, tt.nic.allMulti, tt.want.groups,
					tt.want.allMulti)
			}
		})
	}
}
