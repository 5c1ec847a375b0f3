// SPDX-License-Identifier: MIT

// Package lab makes hosts, switches, cables and NICs out of network namespaces, bridges, veth pairs and TAPs, and sends
// traffic between them. Tests and `nicteam demo` run on it. It does not touch the machine's own network. It needs root
// and Linux 6.6 with BTF, and no other program.
//
//	func TestMain(m *testing.M) { labtest.Main(m) } // private namespaces for the whole test binary
//
//	func TestSomething(t *testing.T) {
//		left, right := labtest.Host(t, "left"), labtest.Host(t, "right")
//		sw := labtest.Switch(t, "switch", lab.SwitchOptions{})
//		labtest.Cable(t, right, "eth0", sw, "right", lab.CableOptions{})
//		one := labtest.Wire(t, left, "eth0", sw, "left0", lab.WireOptions{})
//		labtest.Must(t, left.SetAddr("eth0", "10.9.0.1/24", "fd09::1/64"))
//		labtest.Must(t, right.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
//		before := labtest.Settled(t, left)
//		r := labtest.Start(t, lab.Stream{From: left, To: right, Address: netip.MustParseAddr("10.9.0.2")})
//		cut := time.Now()
//		labtest.Must(t, one.Cut())
//		…
//		all, flow := r.GapWithin(cut, time.Now())
//		report, err := r.Stop()
//		diff := lab.Diff(before, labtest.Settled(t, left))
//	}
//
// Nodes are connected by:
//
//	Cable   veth; the kernel alone forwards its frames: measure gaps and rates on it
//	Wire    two TAPs, frames forwarded by this process; most like hardware: carrier at both
//	        ends, a NIC that can be unplugged, frames that a function can drop, repeat or change
//
// Both behave as NICs when the carrier goes: the kernel may report that a second later. A veth pair made by `ip link
// add` does so or not, depending on its ifindexes.
//
// The NICs of hosts filter what they receive by the kernel's lists, as hardware does. A test that receives on a device
// must ask for it:
//
//	own address, broadcast                always received
//	another unicast address, a group      PACKET_ADD_MEMBERSHIP, a macvlan, an IP multicast group
//	everything                            promiscuity: PACKET_MR_PROMISC, a bridge, `ip link set eth0 promisc on`
//	a port of a Switch                    receives everything
//	end B of a Cable between two hosts    receives everything, unless CableOptions.HardwareB is set
//
// Hardware adds limits: few filter slots, a single MAC, no promiscuity, filtered VLANs, no segmentation or coalescing,
// and on a Wire a carrier that is late, is lost by a change of MTU or MAC, or precedes frames or the speed.
//
// A Switch drops LACPDUs, as bridges do. OVS speaks LACP: Open vSwitch, in a Host that cables connect to others. It
// alone needs an installed package.
//
// Isolate re-executes the program in private namespaces, so that the kernel removes what it made, whatever happens to
// it. What is made is closed in reverse order all the same; closing twice is fine.
package lab
