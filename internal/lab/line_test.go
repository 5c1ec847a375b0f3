// SPDX-License-Identifier: MIT

package lab_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// lines are the two ways to join nodes, so each test of joining runs on both.
var lines = map[string]func(a lab.Node, nameA string, b lab.Node, nameB string) (lab.Line, error){
	"cable": func(a lab.Node, na string, b lab.Node, nb string) (lab.Line, error) {
		return lab.NewCable(a, na, b, nb, lab.CableOptions{})
	},
	"eager cable": func(a lab.Node, na string, b lab.Node, nb string) (lab.Line, error) {
		return lab.NewCable(a, na, b, nb, lab.CableOptions{EagerCarrier: true})
	},
	"wire": func(a lab.Node, na string, b lab.Node, nb string) (lab.Line, error) {
		return lab.NewWire(a, na, b, nb, lab.WireOptions{})
	},
}

// reachable sends a datagram and reports whether it arrives.
func reachable(t *testing.T, from, to *lab.Host, address string) bool {
	t.Helper()
	in, err := to.ListenPacket("udp", net.JoinHostPort(address, "0"))
	labtest.Must(t, err)
	defer in.Close()
	out, err := from.Dial(context.Background(), "udp", in.LocalAddr().String())
	if err != nil {
		return false // no route while the device is down
	}
	defer out.Close()
	labtest.Must(t, in.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	if _, err := io.WriteString(out, "x"); err != nil {
		return false
	}
	_, _, err = in.ReadFrom(make([]byte, 10))
	return err == nil
}

func lowerUp(t *testing.T, h *lab.Host, name string) bool {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(t, err)
	return l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

func TestLinesCarryAndCut(t *testing.T) {
	for name, join := range lines {
		t.Run(name, func(t *testing.T) {
			a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
			line, err := join(a, "eth0", b, "eth0")
			labtest.Must(t, err)
			t.Cleanup(func() { labtest.Check(t, line.Close()) })
			labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24", "fd09::1/64"))
			labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
			if !reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "fd09::1") {
				t.Fatal("not reachable before the cut")
			}
			events, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
			defer close(done)
			labtest.Must(t, a.Do(func() error { return netlink.LinkSubscribe(events, done) }))
			labtest.Must(t, line.Cut())
			awaitCarrier(t, events, false)
			if lowerUp(t, a, "eth0") {
				t.Error("carrier after the cut")
			}
			if reachable(t, b, a, "10.9.0.1") {
				t.Error("reachable after the cut")
			}
			labtest.Must(t, line.Mend())
			awaitCarrier(t, events, true)
			labtest.Eventually(t, "reachable after mending", func() bool { return reachable(t, a, b, "10.9.0.2") })
		})
	}
}

func awaitCarrier(t *testing.T, events <-chan netlink.LinkUpdate, want bool) {
	t.Helper()
	timeout := time.After(labtest.Patience)
	for {
		select {
		case e := <-events:
			if e.Attrs() != nil && e.Attrs().Name == "eth0" && (e.Attrs().RawFlags&unix.IFF_LOWER_UP != 0) == want {
				return
			}
		case <-timeout:
			t.Fatalf("no event with carrier %v", want)
		}
	}
}

func TestNICLooksReal(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0xa}
	w, err := lab.NewWire(a, "eth0", b, "eth0", lab.WireOptions{MACA: mac, SpeedMbit: 2500, MTU: 9000})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, w.Close()) })
	l, err := a.Handle().LinkByName("eth0")
	labtest.Must(t, err)
	at := l.Attrs()
	if at.ParentIndex != 0 && at.ParentIndex != at.Index {
		t.Errorf("iflink %d, index %d", at.ParentIndex, at.Index)
	}
	if at.HardwareAddr.String() != mac.String() || at.MTU != 9000 {
		t.Errorf("address %v MTU %d", at.HardwareAddr, at.MTU)
	}
	labtest.Must(t, a.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		var cmd ethtool.EthtoolCmd
		speed, err := e.CmdGet(&cmd, "eth0")
		if err == nil && (speed != 2500 || cmd.Duplex != 1) {
			t.Errorf("speed %d duplex %d", speed, cmd.Duplex)
		}
		return err
	}))
}

func TestNICFaults(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w, err := lab.NewWire(a, "eth0", b, "eth0", lab.WireOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, w.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	if !reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "10.9.0.1") {
		t.Fatal("not reachable")
	}
	w.A.SwallowTx(true)
	if reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "10.9.0.1") || !lowerUp(t, a, "eth0") {
		t.Error("SwallowTx must lose what a transmits, and nothing else")
	}
	w.A.SwallowTx(false)
	w.A.SwallowRx(true)
	if !reachable(t, a, b, "10.9.0.2") || reachable(t, b, a, "10.9.0.1") || !lowerUp(t, a, "eth0") {
		t.Error("SwallowRx must lose what a receives, and nothing else")
	}
	w.A.SwallowRx(false)
	var seen atomic.Int64
	w.A.Filter(func(frame []byte) int { seen.Add(1); return 1 })
	if !reachable(t, a, b, "10.9.0.2") || seen.Load() == 0 {
		t.Error("the filter saw no frame")
	}
	w.A.Filter(nil)

	before, err := a.Handle().LinkByName("eth0")
	labtest.Must(t, err)
	labtest.Must(t, w.A.Unplug())
	if _, err := a.Handle().LinkByName("eth0"); err == nil {
		t.Error("device is there after Unplug")
	}
	labtest.Eventually(t, "far end without carrier", func() bool { return !lowerUp(t, b, "eth0") })
	labtest.Must(t, w.A.Replug())
	after, err := a.Handle().LinkByName("eth0")
	labtest.Must(t, err)
	if after.Attrs().HardwareAddr.String() != before.Attrs().HardwareAddr.String() ||
		after.Attrs().Index == before.Attrs().Index {
		t.Errorf("replugged: address %v index %d, before %v %d", after.Attrs().HardwareAddr, after.Attrs().Index,
			before.Attrs().HardwareAddr, before.Attrs().Index)
	}
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Eventually(t, "reachable again", func() bool { return reachable(t, a, b, "10.9.0.2") })
}

func TestCableSwallows(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	c := labtest.Cable(t, a, "eth0", b, "eth0", lab.CableOptions{})
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	if !reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "10.9.0.1") {
		t.Fatal("not reachable")
	}
	labtest.Must(t, c.SwallowFromA(true))
	labtest.Must(t, c.SwallowFromA(true))
	if reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "10.9.0.1") || !lowerUp(t, a, "eth0") {
		t.Error("SwallowFromA must lose what a transmits, and nothing else")
	}
	labtest.Must(t, c.SwallowFromA(false))
	labtest.Must(t, c.SwallowFromB(true))
	if !reachable(t, a, b, "10.9.0.2") || reachable(t, b, a, "10.9.0.1") || !lowerUp(t, a, "eth0") {
		t.Error("SwallowFromB must lose what b transmits, and nothing else")
	}
	labtest.Must(t, c.SwallowFromB(false))
	if !reachable(t, a, b, "10.9.0.2") || !reachable(t, b, a, "10.9.0.1") {
		t.Error("not reachable afterwards")
	}
}

func TestSwitch(t *testing.T) {
	for name, o := range map[string]lab.SwitchOptions{"learning": {}, "flooding": {Flooding: true}} {
		for line, join := range lines {
			t.Run(name+" "+line, func(t *testing.T) {
				labtest.Root(t)
				s, err := lab.NewSwitch("s", o)
				labtest.Must(t, err)
				t.Cleanup(func() { labtest.Check(t, s.Close()) })
				var hosts []*lab.Host
				for i, n := range []string{"a", "b", "c"} {
					h := labtest.Host(t, n)
					l, err := join(h, "eth0", s, n)
					labtest.Must(t, err)
					t.Cleanup(func() { labtest.Check(t, l.Close()) })
					labtest.Must(t, h.SetAddr("eth0", "10.9.0."+string(rune('1'+i))+"/24"))
					hosts = append(hosts, h)
				}
				labtest.Eventually(t, "reachable", func() bool { return reachable(t, hosts[0], hosts[1], "10.9.0.2") })
				third, err := hosts[2].Handle().LinkByName("eth0")
				labtest.Must(t, err)
				labtest.Must(t, hosts[2].Handle().SetPromiscOn(third))
				received := func() uint64 {
					l, err := hosts[2].Handle().LinkByName("eth0")
					labtest.Must(t, err)
					return l.Attrs().Statistics.RxPackets
				}
				before := received()
				for range 20 {
					if !reachable(t, hosts[0], hosts[1], "10.9.0.2") {
						t.Fatal("not reachable")
					}
				}
				if o.Flooding {
					// A wire is a thread of its own, which may be late.
					labtest.Eventually(t, "20 frames at a third host", func() bool { return received()-before >= 20 })
					return
				}
				// Some frames, such as router solicitations, go everywhere in any case.
				if got := received() - before; got >= 20 {
					t.Errorf("a third host received %d of 20 frames", got)
				}
			})
		}
	}
}

func TestLAG(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spread lab.Spread
		line   string
	}{
		{"flow", lab.SpreadFlow, "cable"},
		{"frames", lab.SpreadFrames, "cable"},
		{"flow over wires", lab.SpreadFlow, "wire"},
		{"frames over wires", lab.SpreadFrames, "wire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
			s, err := lab.NewSwitch("s", lab.SwitchOptions{})
			labtest.Must(t, err)
			t.Cleanup(func() { labtest.Check(t, s.Close()) })
			_, err = lab.NewCable(b, "eth0", s, "b", lab.CableOptions{})
			labtest.Must(t, err)
			var members []lab.Line
			for _, n := range []string{"eth0", "eth1", "eth2"} {
				l, err := lines[tt.line](a, n, s, "a."+n)
				labtest.Must(t, err)
				t.Cleanup(func() { labtest.Check(t, l.Close()) })
				members = append(members, l)
			}
			_, err = s.LAG("group", tt.spread, "a.eth0", "a.eth1", "a.eth2")
			labtest.Must(t, err)
			receivedBy := func(h *lab.Host, dev string) uint64 {
				l, err := h.Handle().LinkByName(dev)
				labtest.Must(t, err)
				return l.Attrs().Statistics.RxPackets
			}
			received := func(dev string) uint64 { return receivedBy(a, dev) }
			// Broadcast frames of b arrive by one port each; those of a come back by none.
			labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
			labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
			sendBroadcasts := func(h *lab.Host, n int) {
				labtest.Must(t, h.Do(func() error {
					c, err := net.ListenUDP("udp4", nil)
					if err != nil {
						return err
					}
					defer c.Close()
					for i := range n {
						// Another port each, so each is a flow of its own.
						if _, err := c.WriteToUDP([]byte("x"),
							&net.UDPAddr{IP: net.IPv4(10, 9, 0, 255), Port: 9000 + i}); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			sum := func() uint64 { return received("eth0") + received("eth1") + received("eth2") }
			before := sum()
			sendBroadcasts(b, 100)
			labtest.Eventually(t, "100 frames", func() bool { return sum()-before >= 100 })
			if got := sum() - before; got > 110 {
				t.Errorf("the group received %d frames, want each of 100 once", got)
			}
			for _, dev := range []string{"eth0", "eth1", "eth2"} {
				if got := received(dev); got < 10 {
					t.Errorf("%s received %d frames, want about a third", dev, got)
				}
			}
			before = sum()
			beforeB := receivedBy(b, "eth0")
			sendBroadcasts(a, 100)
			labtest.Eventually(t, "100 frames of the group", func() bool {
				return receivedBy(b, "eth0")-beforeB >= 100
			})
			if got := sum() - before; got > 10 {
				t.Errorf("%d of the group's own frames came back", got)
			}
			labtest.Must(t, members[0].Cut())
			labtest.Eventually(t, "slots moved", func() bool {
				before := received("eth1") + received("eth2")
				sendBroadcasts(b, 50)
				return received("eth1")+received("eth2")-before >= 50
			})
		})
	}
}

func TestShape(t *testing.T) {
	for name, join := range lines {
		t.Run(name, func(t *testing.T) {
			a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
			line, err := join(a, "eth0", b, "eth0")
			labtest.Must(t, err)
			t.Cleanup(func() { labtest.Check(t, line.Close()) })
			labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
			labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
			const rate = 200e6
			labtest.Must(t, line.Shape(rate))
			ctx, cancel := context.WithTimeout(t.Context(), 2*labtest.Patience)
			defer cancel()
			transfer := func(size int64) float64 {
				got, err := lab.Transfer(ctx, a, b, "10.9.0.2", size)
				labtest.Must(t, err)
				return got.BitsPerSecond()
			}
			// One of a few, because a machine may stand still meanwhile.
			var shaped, free float64
			labtest.Eventually(t, "the shaped rate is reached", func() bool {
				if shaped = transfer(10 << 20); shaped > 1.05*rate {
					t.Errorf("rate %.0f bit/s is %.2f of the shaped one", shaped, shaped/rate)
				}
				return shaped >= 0.75*rate
			})
			labtest.Must(t, line.Shape(0))
			labtest.Eventually(t, "without shaping twice that", func() bool {
				free = transfer(100 << 20)
				return free >= 2*shaped
			})
			t.Logf("shaped %.0f Mbit/s, free %.0f Mbit/s", shaped/1e6, free/1e6)
		})
	}
}

func TestClosedHostIsDead(t *testing.T) {
	labtest.Root(t)
	h, err := lab.NewHost("h")
	labtest.Must(t, err)
	labtest.Must(t, h.Close())
	if _, err := h.Handle().LinkByName("lo"); err == nil {
		t.Error("a closed host answers, so it is another namespace that does")
	}
	if err := h.Up("lo"); err == nil || !strings.Contains(err.Error(), "lo") {
		t.Errorf("Up on a closed host: %v", err)
	}
}
