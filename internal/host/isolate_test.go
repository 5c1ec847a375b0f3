// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// farEnd moves the peer of na into a namespace of its own with an address.
func farEnd(t *testing.T) {
	t.Helper()
	exec.Command("ip", "netns", "del", "peer").Run()
	run(t,
		"ip netns add peer; ip link set pna netns peer; ip -n peer link set pna up; ip -n peer addr add 10.9.0.2/24 "+
			"dev pna")
	// Three unanswered requests take 300 ms instead of three seconds.
	run(t, "ip netns exec peer sh -c 'echo 100 >/proc/sys/net/ipv4/neigh/pna/retrans_time_ms'")
	t.Cleanup(func() { exec.Command("ip", "netns", "del", "peer").Run() })
}

// answersARP reports whether the host's stack answers the peer's ARP.
func answersARP(t *testing.T) bool {
	t.Helper()
	run(t, "ip -n peer neigh flush dev pna")
	// The peer's kernel asks three times, which takes 300 ms; one answer is enough.
	exec.Command("ip", "netns", "exec", "peer", "ping", "-c1", "-W0.4", "10.9.0.1").Run()
	out := run(t, "ip -n peer neigh show 10.9.0.1 dev pna")
	return len(out) > 0 && containsAny(out, "REACHABLE", "STALE", "DELAY", "PROBE")
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		for i := 0; i+len(w) <= len(s); i++ {
			if s[i:i+len(w)] == w {
				return true
			}
		}
	}
	return false
}

// TestIsolation isolates a NIC by each method, while a socket for all ethertypes still receives, and ends it. Nothing
// is left behind.
func TestIsolation(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, m := range tchook.Methods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			if m == tchook.ByNft {
				labtest.Tool(t, "nft", "nftables")
			}
			labtest.Tool(t, "ping", "iputils-ping")
			w := newWorld(t)
			farEnd(t)
			run(t, "ip addr add 10.9.0.1/24 dev na")
			before := snapshot(t)
			h := w.open(nil)
			h.hooks.Method = m
			must(t, h.Begin())
			_, err := h.RecordMember("na")
			must(t, err)
			n, err := h.nic("na")
			must(t, err)
			if !answersARP(t) {
				t.Fatal("the peer gets no answer before isolation")
			}
			must(t, h.Isolate(n.Index))
			must(t, h.Isolate(n.Index))
			sees := sniff(t, n.Index)
			if answersARP(t) {
				t.Error("the host's stack answers in spite of isolation")
			}
			if !sees() {
				t.Error("the packet socket sees nothing")
			}
			must(t, h.Unisolate(n.Index))
			must(t, h.Unisolate(n.Index))
			if !answersARP(t) {
				t.Error("the host's stack does not answer after isolation")
			}
			_, err = h.Finish()
			must(t, err)
			compare(t, before, snapshot(t))
		})
	}
}

// sniff opens a packet socket and returns a function that reports whether a frame came.
func sniff(t *testing.T, index int) func() bool {
	t.Helper()
	all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	return func() bool {
		buf := make([]byte, 2048)
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return false
			}
			if sa, ok := from.(*unix.SockaddrLinklayer); ok && sa.Pkttype != unix.PACKET_OUTGOING && n > 13 &&
				buf[12] == 8 && buf[13] == 6 {
				return true
			}
		}
	}
}

// TestForeignFilters: clsact and filters of others stay.
func TestForeignFilters(t *testing.T) {
	labtest.Root(t)
	w := newWorld(t)
	run(t, "tc qdisc add dev na clsact; tc filter add dev na ingress pref 7 protocol ip u32 match u32 0 0 flowid 1:1")
	before := snapshot(t)
	h := w.open(nil)
	h.hooks.Method = tchook.ByClsact
	must(t, takeover(w, h))
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// TestIsolationOfAnotherNIC isolates a NIC that has the ifindex of one that is gone.
func TestIsolationOfAnotherNIC(t *testing.T) {
	kernelHas(t, tchook.ByTCX)
	w := newWorld(t)
	h := w.open(nil)
	must(t, h.Begin())
	n, err := h.nic("na")
	must(t, err)
	must(t, h.Isolate(n.Index))
	first := tchook.Revision([]int{n.Index})
	must(t, h.Isolate(n.Index))
	if tchook.Revision([]int{n.Index}) != first {
		t.Error("what was isolated was isolated again")
	}
	run(t, fmt.Sprintf("ip link del na; ip link add na index %d type veth peer name pna", n.Index))
	if h.hooks.Isolated(n.Index) {
		t.Fatal("the drop seems to be on a NIC that has never had it")
	}
	must(t, h.Isolate(n.Index))
	if !h.hooks.Isolated(n.Index) {
		t.Error("the second NIC is not isolated")
	}
}
