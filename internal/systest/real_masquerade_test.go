// SPDX-License-Identifier: MIT

package systest

import (
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// Rules that masquerade what enters by in0.
const (
	byNft = `nft add table inet nat
		nft add chain inet nat post '{ type nat hook postrouting priority 100; }'
		nft add rule inet nat post iifname in0 oifname != in0 masquerade`
	byNftRandom = byNft + ` fully-random`
	byIptables  = `
		iptables -t nat -A POSTROUTING -s 10.77.0.0/24 ! -o in0 -j MASQUERADE
		ip6tables -t nat -A POSTROUTING -s fd77::/64 ! -o in0 -j MASQUERADE`
)

// masqueradingHost puts a host behind box, as a container is, whose connections box masquerades.
func (w *world) masqueradingHost(rules string) (inside *lab.Host) {
	w.t.Helper()
	labtest.Tool(w.t, "ip", "iproute2")
	labtest.Tool(w.t, "nft", "nftables")
	if rules == byIptables {
		labtest.Tool(w.t, "iptables", "iptables")
	}
	inside = labtest.Host(w.t, "inside")
	labtest.Cable(w.t, w.box, "in0", inside, "eth0", lab.CableOptions{})
	labtest.Must(w.t, w.box.SetAddr("in0", "10.77.0.1/24", "fd77::1/64"))
	labtest.Must(w.t, inside.SetAddr("eth0", "10.77.0.2/24", "fd77::2/64"))
	labtest.Run(w.t, inside, "sh", "-ec", "ip route add default via 10.77.0.1; ip -6 route add default via fd77::1")
	w.sh(`
		echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		` + rules)
	return inside
}

// TestMasqueradedConnectionsGoOn: connections of a host behind box go on while box's address moves to the adapter and
// back, on both data paths, also if the process was killed in between.
func TestMasqueradedConnectionsGoOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, datapath, rules string
		end                   func(*world)
	}{
		{"relay", "relay", byNft, func(w *world) { w.nicteam("delete", teamName) }},
		{"fastpath", "fastpath", byNft, func(w *world) { w.nicteam("delete", teamName) }},
		{"random ports", "auto", byNftRandom, func(w *world) { w.nicteam("delete", teamName) }},
		{"iptables", "auto", byIptables, func(w *world) { w.nicteam("delete", teamName) }},
		{"killed", "relay", byNft, func(w *world) {
			w.kill(w.teamProcess(), unix.SIGKILL)
			w.nicteam("restore", teamName)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{Cables: true, Datapath: test.datapath})
			inside := w.masqueradingHost(test.rules)
			tables := w.sh("nft list tables")
			reach(t, inside, peer4)
			reach(t, inside, peer6)
			list := append(startConnections(t, inside, w.peer, peer4), startConnections(t, inside, w.peer, peer6)...)
			checkProgress(t, "before", list)
			w.create(nics(2), "--mode", "active-backup")
			checkProgress(t, "after create", list)
			// These are bound to the adapter.
			list = append(list, startConnections(t, inside, w.peer, peer4)...)
			list = append(list, startConnections(t, inside, w.peer, peer6)...)
			checkProgress(t, "before the end", list)
			test.end(w)
			checkProgress(t, "after the end", list)
			if out := w.sh("nft list tables"); out != tables {
				t.Errorf("tables of nft:\n%s", out)
			}
		})
	}
}

// TestMasqueradedConnectionsOfANewMember: connections by a NIC that joins a team go on.
func TestMasqueradedConnectionsOfANewMember(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{Cables: true})
	inside := w.masqueradingHost(byNft)
	reach(t, inside, peer4)
	list := append(startConnections(t, inside, w.peer, peer4), startConnections(t, inside, w.peer, peer6)...)
	checkProgress(t, "before", list)
	w.create([]string{"eth2"}, "--mode", "active-backup")
	w.nicteam("add", teamName, "eth1")
	checkProgress(t, "after add", list)
}

// TestMasqueradedHostsOwnConnectionsGoOn: box's own connections go on if its rules masquerade all that leaves and
// accept only established connections.
func TestMasqueradedHostsOwnConnectionsGoOn(t *testing.T) {
	parallelWithTraffic(t)
	labtest.Tool(t, "nft", "nftables")
	w := newWorld(t, worldOptions{Cables: true})
	w.sh(`
		nft -f - <<-'E'
			table inet own {
				chain post {
					type nat hook postrouting priority 100;
					oifname != "lo" masquerade
				}
				chain in {
					type filter hook input priority 0; policy drop;
					ct state established,related accept
					meta l4proto { icmp, ipv6-icmp } accept
					iif "lo" accept
				}
			}
		E`)
	list := append(startConnections(t, w.box, w.peer, peer4), startConnections(t, w.box, w.peer, peer6)...)
	checkProgress(t, "before", list)
	w.create(nics(2), "--mode", "active-backup")
	checkProgress(t, "after create", list)
	list = append(list, startConnections(t, w.box, w.peer, peer4)...)
	list = append(list, startConnections(t, w.box, w.peer, peer6)...)
	checkProgress(t, "before the end", list)
	w.nicteam("delete", teamName)
	checkProgress(t, "after the end", list)
}
