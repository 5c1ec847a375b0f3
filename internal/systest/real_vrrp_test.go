// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// virtualMAC is that of virtual router 51.
const virtualMAC = frame.MAC(0x00005e000133)

// makeVirtualRouter makes what keepalived makes of use_vmac on the adapter: a private macvlan with the router's MAC,
// and for the master the address.
func (w *world) makeVirtualRouter() {
	w.t.Helper()
	labtest.Tool(w.t, "ip", "iproute2")
	w.sh(`ip link add vrrp.51 link team0 address 00:00:5e:00:01:33 type macvlan mode private
		echo 1 >/proc/sys/net/ipv6/conf/vrrp.51/disable_ipv6
		echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce
		echo 0 >/proc/sys/net/ipv4/conf/vrrp.51/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
		ip link set vrrp.51 up; ip addr add 10.9.0.100/32 dev vrrp.51`)
}

// adverts are the VRRP advertisements of a host, received by another one.
type adverts struct {
	mu    sync.Mutex
	count map[int]int // how often each number came
	at    []time.Time
}

// collectAdverts records the advertisements of a source that a device receives, until the test ends.
func (w *world) collectAdverts(h *lab.Host, device string, from netip.Addr) *adverts {
	_ = h.Command("ip", "maddr", "add", "01:00:5e:00:00:12", "dev", device).Run() // NICs filter groups; it may be there
	s, a := w.raw(h, device), &adverts{count: map[int]int{}}
	stop, done := make(chan struct{}), make(chan struct{})
	w.t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			b := s.receive()
			if len(b) < 58 || binary.BigEndian.Uint16(b[12:]) != frame.TypeIPv4 || b[23] != frame.ProtoVRRP ||
				!bytes.Equal(b[26:30], from.AsSlice()) {
				continue
			}
			n, err := strconv.Atoi(string(b[42:58]))
			if err != nil {
				continue
			}
			a.mu.Lock()
			a.count[n]++
			a.at = append(a.at, time.Now())
			a.mu.Unlock()
		}
	}()
	return a
}

// longestGap is the longest time without an advertisement.
func (a *adverts) longestGap() (gap time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 1; i < len(a.at); i++ {
		gap = max(gap, a.at[i].Sub(a.at[i-1]))
	}
	return gap
}

func (a *adverts) received() (n, doubled int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, times := range a.count {
		n++
		if times > 1 {
			doubled++
		}
	}
	return n, doubled
}

// advertiseRouter sends an advertisement each 100 ms until the test ends, as a master does.
func (w *world) advertiseRouter(h *lab.Host, device string, mac frame.MAC, from netip.Addr) {
	s := w.raw(h, device)
	stop, done := make(chan struct{}), make(chan struct{})
	w.t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			_, _ = unix.Write(s.fd, frametest.Advert(mac, from, n))
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// advertGap is three advertisements: then another router takes over.
const advertGap = 300 * time.Millisecond

// TestTwoVRRPMasters has a virtual router's MAC on the adapter, and on another host, both of which take themselves for
// the master: they hear each other's advertisements, each once, also while cables are pulled and on a switch that
// floods, and neither hears its own. The virtual address answers by that MAC, which the switch knows at one port.
func TestTwoVRRPMasters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode, path string
		world      worldOptions
	}{
		{"elb", "relay", worldOptions{}}, {"elb", "fastpath", worldOptions{Flooding: true}},
		{"active-backup", "fastpath", worldOptions{}}, {"802.3ad", "relay", worldOptions{}},
		{"xor", "fastpath", worldOptions{LAG: true}},
	} {
		t.Run(fmt.Sprintf("%s %s flooding %v", tt.mode, tt.path, tt.world.Flooding), func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, tt.world.on(tt.path))
			w.create(nics(2), "--mode", tt.mode, "--damping", "off")
			w.makeVirtualRouter()
			in := w.collectAdverts(w.box, teamName, peer4)
			out := w.collectAdverts(w.peer, "eth0", box4)
			own := w.collectAdverts(w.box, teamName, box4)
			w.advertiseRouter(w.box, "vrrp.51", virtualMAC, box4)
			w.advertiseRouter(w.peer, "eth0", virtualMAC, peer4)
			both := func(more int) func() bool {
				a, _ := in.received()
				b, _ := out.received()
				return func() bool {
					n, _ := in.received()
					m, _ := out.received()
					return n >= a+more && m >= b+more
				}
			}
			labtest.Eventually(t, "advertisements both ways", both(3))
			reach(t, w.peer, vip4)
			if mac := w.neighbourOfPeer(vip4); mac != virtualMAC {
				t.Errorf("peer knows the virtual address at %v", mac)
			}
			dead := w.status().Active
			if dead == "" {
				dead = "eth1"
			}
			if tt.mode != "802.3ad" { // the other NIC would first have to find out that it is alone now
				labtest.Must(t, w.wires[dead].Cut())
				labtest.Eventually(t, "advertisements without "+dead, both(4))
				reach(t, w.peer, vip4)
				labtest.Must(t, w.wires[dead].Mend())
				labtest.Eventually(t, "advertisements with "+dead, both(4))
				reach(t, w.peer, vip4)
			}
			n, doubledIn := in.received()
			m, doubledOut := out.received()
			t.Logf("%d in, %d out, longest gap %v in, %v out", n, m, in.longestGap(), out.longestGap())
			if doubledIn > 0 || doubledOut > 0 {
				t.Errorf("%d of those in and %d of those out came twice", doubledIn, doubledOut)
			}
			if reflected, _ := own.received(); reflected > 0 {
				t.Errorf("%d of its own advertisements came back to the host", reflected)
			}
			if worst := max(in.longestGap(), out.longestGap()); *soak && worst > advertGap {
				t.Errorf("%v without an advertisement", worst)
			}
		})
	}
}

// neighbourOfPeer is the MAC at which peer knows an address.
func (w *world) neighbourOfPeer(ip netip.Addr) frame.MAC {
	w.t.Helper()
	list, err := w.peer.Handle().NeighList(link(w.t, w.peer, "eth0").Index, unix.AF_INET)
	labtest.Must(w.t, err)
	i := slices.IndexFunc(list, func(n netlink.Neigh) bool { return n.IP.Equal(ip.AsSlice()) })
	if i < 0 {
		return 0
	}
	return frame.MACFrom(list[i].HardwareAddr)
}

// TestVirtualRouterThatWasHere: the MAC of a virtual router whose address this host has given up is not announced any
// more when members fail or come back; that of one whose address it has is.
func TestVirtualRouterThatWasHere(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"active-backup", "elb"} {
		t.Run(mode, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{})
			w.create(nics(2), "--mode", mode, "--damping", "off")
			w.makeVirtualRouter()
			heard := w.captureLearningFrames()
			router := frame.StationOf(virtualMAC, 0)
			inside := w.raw(w.box, "vrrp.51")
			inside.send(frametest.Advert(virtualMAC, box4, 1))
			reach(t, w.peer, vip4)
			both := func(on bool) { // loses all members, or gets them back
				for _, nic := range nics(2) {
					if on {
						labtest.Must(t, w.wires[nic].Mend())
					} else {
						labtest.Must(t, w.wires[nic].Cut())
					}
				}
			}
			cycle := func() []frame.Station {
				both(false)
				labtest.Eventually(t, "no carrier", func() bool {
					return link(t, w.box, teamName).RawFlags&unix.IFF_LOWER_UP == 0
				})
				heard.forget()
				both(true)
				labtest.Eventually(t, "announcements", heard.groups)
				return heard.of(router)
			}
			labtest.Eventually(t, "the master is announced", func() bool { return len(cycle()) == 1 })
			w.sh("ip addr del 10.9.0.100/32 dev vrrp.51")
			if list := cycle(); len(list) > 0 {
				t.Errorf("announced after the address has left: %v", list)
			}
		})
	}
}
