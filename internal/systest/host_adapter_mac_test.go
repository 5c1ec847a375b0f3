// SPDX-License-Identifier: MIT

package systest

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// adapterIs waits until kernel, status and the adapter's EUI-64 addresses agree on its MAC.
func (w *world) adapterIs(mac net.HardwareAddr) {
	w.t.Helper()
	w.await("the status says "+mac.String(), func(s *api.Status) bool { return s.Adapter.MAC == mac.String() })
	if got := link(w.t, w.box, teamName).HardwareAddr; got.String() != mac.String() {
		w.t.Errorf("%s has %v, want %v", teamName, got, mac)
	}
	want := netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	var local []string
	labtest.Eventually(w.t, "a link-local address", func() bool {
		local = nil
		for _, a := range w.status().Adapter.Addresses {
			if strings.HasPrefix(a, "fe80:") {
				local = append(local, a)
			}
		}
		return len(local) > 0
	})
	if len(local) != 1 || local[0] != want.String()+"/64" {
		w.t.Errorf("link-local addresses %v, want %v", local, want)
	}
}

// TestUdevLeavesTheAdapterAlone creates teams beside a udev that sets MACs of new devices.
func TestUdevLeavesTheAdapterAlone(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{})
	donor := link(t, w.box, "eth1").HardwareAddr
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond,
		100 * time.Millisecond} {
		u, err := lab.NewUdev(w.box, delay)
		labtest.Must(t, err)
		w.create(nics(2), "--mode", "active-backup")
		labtest.Must(t, w.box.Do(func() error {
			return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "last0"},
				Mode: netlink.TUNTAP_MODE_TAP})
		}))
		labtest.Eventually(t, "udev has done with what is new", func() bool {
			gave := u.Assigned()
			return len(gave) > 0 && gave[len(gave)-1].Name == "last0"
		})
		w.adapterIs(donor)
		if said := w.nicteam("events", teamName); strings.Contains(said, "adapter-mac") {
			t.Errorf("delay %v: events\n%s", delay, said)
		}
		labtest.Must(t, u.Close())
		w.nicteam("delete", teamName)
		w.sh("ip link del last0")
	}
}

// TestUdevIsUndone starts a team as the service does, by a process that cannot make its adapter in a private namespace.
// udev changes the MAC of the adapter before it is up, and again.
func TestUdevIsUndone(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{})
	donor := link(t, w.box, "eth1").HardwareAddr
	wrong := func(n byte) net.HardwareAddr { return net.HardwareAddr{0x06, 0xdd, 0, 0, 0, n} }
	give := func(n byte) error {
		l, err := w.box.Handle().LinkByName(teamName)
		if err == nil {
			err = w.box.Handle().LinkSetHardwareAddr(l, wrong(n))
		}
		return err
	}
	// As soon as the adapter exists.
	early := make(chan struct{})
	go func() {
		defer close(early)
		for end := time.Now().Add(labtest.Patience); give(1) != nil && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond)
		}
	}()
	out, err := w.box.Command("setpriv", "--bounding-set=-sys_admin", program(t), "create", teamName, "eth1", "eth2",
		"--mode", "active-backup").CombinedOutput()
	if err != nil {
		t.Fatalf("create without CAP_SYS_ADMIN: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "MAC "+donor.String()) {
		t.Errorf("create said\n%s", out)
	}
	<-early
	w.adapterIs(donor)
	restored := func() int { return strings.Count(w.nicteam("events", teamName), "adapter-mac-restored") }
	for n := byte(2); restored() < 3; n++ {
		was := restored()
		labtest.Must(t, give(n))
		labtest.Eventually(t, "the MAC is put back", func() bool { return restored() > was })
		w.adapterIs(donor)
	}
	ping(t, w.peer, box4, 100)
	// A change that is repeated is wanted.
	labtest.Must(t, give(9))
	w.await("the team follows", func(s *api.Status) bool {
		return s.Adapter.MAC == wrong(9).String() && strings.Contains(w.nicteam("events", teamName),
			"adapter-mac-changed")
	})
	reach(t, w.peer, box4)
}

// TestAdapterMACByHand changes the adapter's MAC under traffic.
func TestAdapterMACByHand(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"fastpath", "relay"} {
		for _, mode := range []string{"elb", "active-backup", "broadcast", "802.3ad"} {
			t.Run(path+"/"+mode, func(t *testing.T) {
				parallel(t)
				w := newWorld(t, worldOptions{Datapath: path, Cables: true})
				w.create(nics(2), "--mode", mode)
				ping(t, w.peer, box4, 100)
				ping(t, w.box, peer6, 100)
				before := w.status() // in 802.3ad nobody answers
				donor := link(t, w.box, "eth1").HardwareAddr.String()
				// To and fro, the second time to the address that a member has.
				for _, mac := range []string{"02:00:00:00:00:99", donor, "02:00:00:00:00:98"} {
					w.sh("ip link set " + teamName + " address " + mac)
					labtest.Eventually(t, "the team knows", func() bool {
						return strings.Contains(w.nicteam("events", teamName), mac+", was")
					})
					reach(t, w.peer, box4)
					reach(t, w.peer, box6)
					for range 3 {
						ping(t, w.peer, box4, 100)
						ping(t, w.peer, box6, 100)
						ping(t, w.box, peer4, 100)
					}
					// Also where nobody knows anybody yet.
					w.sh("ip neigh flush all")
					labtest.Run(t, w.peer, "ip", "neigh", "flush", "all")
					ping(t, w.peer, box6, 100)
					ping(t, w.box, peer4, 100)
					if mode != "elb" {
						if said := labtest.Run(t, w.peer, "ip", "neigh", "show", "10.9.0.1"); !strings.Contains(said,
							mac) {
							t.Errorf("peer knows %s, want %s", said, mac)
						}
					}
				}
				if s := w.status(); s.State != before.State || s.Datapath != path {
					t.Errorf("state %s (%s), was %s, data path %s", s.State, s.Reason, before.State, s.Datapath)
				}
				// Who lent its MAC first lends it no more.
				if said := w.nicteam("remove", teamName, "eth1"); strings.Contains(said, "released down") {
					t.Errorf("remove eth1 said\n%s", said)
				}
				ping(t, w.peer, box4, 100)
			})
		}
	}
}
