// SPDX-License-Identifier: MIT

package selftest

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/ssh"
)

func TestMain(m *testing.M) {
	labtest.Parallel(6) // they wait most of the time
	labtest.Main(m)
}

// within is how long tests wait for an answer that does not come.
const within = 500 * time.Millisecond

// A world is a host with two NICs in the LAN of a gateway.
type world struct {
	t        *testing.T
	box, gw  *lab.Host
	one, two *lab.Cable
	host     *host.Host
}

func newWorld(t *testing.T, setUp ...string) *world {
	t.Helper()
	labtest.Root(t)
	labtest.Tool(t, "ip", "iproute2")
	w := &world{t: t, box: labtest.Host(t, "box"), gw: labtest.Host(t, "gw")}
	for _, h := range []*lab.Host{w.box, w.gw} {
		labtest.Must(t, h.Sysctl("ipv6/conf/default/accept_dad", "0"))
	}
	sw := labtest.Switch(t, "switch", lab.SwitchOptions{})
	w.one = labtest.Cable(t, w.box, "eth1", sw, "p1", lab.CableOptions{})
	w.two = labtest.Cable(t, w.box, "eth2", sw, "p2", lab.CableOptions{})
	labtest.Cable(t, w.gw, "eth0", sw, "up", lab.CableOptions{})
	labtest.Must(t, w.box.SetAddr("eth1", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, w.gw.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
	w.sh(w.box, setUp...)
	labtest.Must(t, w.box.Do(func() (err error) { w.host, err = host.Open(host.Options{}); return err }))
	t.Cleanup(func() { _ = w.host.Close() })
	return w
}

// sh runs ip commands in a host.
func (w *world) sh(h *lab.Host, lines ...string) {
	w.t.Helper()
	for _, line := range lines {
		if out, err := h.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			w.t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
}

func (w *world) index(names ...string) (list []int) {
	w.t.Helper()
	for _, name := range names {
		l, err := w.box.Handle().LinkByName(name)
		labtest.Must(w.t, err)
		list = append(list, l.Attrs().Index)
	}
	return list
}

// begin makes a test of links and settles it.
func (w *world) begin(o Options, links ...string) (test *Test) {
	w.t.Helper()
	o.Host, o.Log = w.host, slog.New(slog.DiscardHandler)
	labtest.Must(w.t, w.box.Do(func() (err error) {
		test, err = Begin(o, w.index(links...)...)
		test.Settle(context.Background())
		return err
	}))
	return test
}

// end goes on after the change, and returns what Check does.
func (w *world) end(test *Test, links ...string) (step string, err error) {
	w.t.Helper()
	_ = w.box.Do(func() error {
		test.Through(strings.Join(links, ", "), w.index(links...)...)
		step, err = test.Check(context.Background())
		return nil
	})
	return step, err
}

const viaOne = "route add default via 10.9.0.2 dev eth1"

// passes has a test succeed with a text in it.
func (w *world) passes(test *Test, want string, links ...string) {
	w.t.Helper()
	step, err := w.end(test, links...)
	if err != nil || !strings.Contains(step, want) {
		w.t.Errorf("%q, %v, want %q", step, err, want)
	}
}

// fails has a test fail with texts in its reason.
func (w *world) fails(test *Test, links []string, want ...string) {
	w.t.Helper()
	test.o.Within = within
	step, err := w.end(test, links...)
	if err == nil {
		w.t.Fatalf("%q, want %q", step, want)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("%v, want %q", err, text)
		}
	}
}

// TestGateway asks gateways: they answer, they do not, they never did.
func TestGateway(t *testing.T) {
	t.Parallel()
	t.Run("answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, viaOne, "-6 route add default via fd09::2 dev eth1")
		w.passes(w.begin(Options{Moves: true}, "eth1", "eth2"),
			"gateway 10.9.0.2, gateway fd09::2 answer by eth1", "eth1")
	})
	t.Run("another NIC", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, viaOne, "-6 route add default via fd09::2 dev eth1")
		test := w.begin(Options{Moves: true}, "eth1")
		w.sh(w.box, "addr flush dev eth1", "addr add 10.9.0.1/24 dev eth2", "addr add fd09::1/64 dev eth2")
		w.passes(test, "gateway 10.9.0.2, gateway fd09::2 answer by eth2", "eth2")
	})
	for name, swallow := range map[string]func(*world) error{
		"sent frames go nowhere":     func(w *world) error { return w.one.SwallowFromA(true) },
		"received frames go nowhere": func(w *world) error { return w.one.SwallowFromB(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, viaOne)
			test := w.begin(Options{Moves: true}, "eth1")
			labtest.Must(t, swallow(w))
			w.fails(test, []string{"eth1"}, "gateway 10.9.0.2 answered by eth1 before, and not by eth1 within 500ms")
		})
		t.Run(name+", before", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, viaOne)
			w.begin(Options{Moves: true}, "eth1") // the kernel knows it well
			labtest.Must(t, swallow(w))
			test := w.begin(Options{Moves: true}, "eth1")
			if !test.Empty() {
				t.Error("a gateway is required that did not answer")
			}
			w.passes(test, "nothing to ask", "eth1")
		})
	}
	t.Run("another MAC", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, viaOne)
		test := w.begin(Options{Moves: true}, "eth1")
		w.sh(w.gw, "link set eth0 address 02:00:00:00:99:01")
		w.passes(test, "gateway 10.9.0.2 answers by eth1", "eth1")
	})
	t.Run("no network any more", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, viaOne)
		test, other := w.begin(Options{Moves: true}, "eth1"), w.begin(Options{}, "eth1")
		w.sh(w.box, "addr flush dev eth1")
		w.fails(test, []string{"eth1"}, "not by eth1", "which has no address of that network")
		w.passes(other, "other addresses than before", "eth1")
	})
	t.Run("by hand", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, viaOne, "neigh replace 10.9.0.2 lladdr 02:00:00:00:99:01 dev eth1 nud permanent")
		if test := w.begin(Options{Moves: true}, "eth1"); !test.Empty() {
			t.Error("a permanent neighbour is asked")
		}
	})
	t.Run("silent, but a host answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "route add default via 10.9.0.99 dev eth1")
		reach(t, w)
		w.passes(w.begin(Options{Moves: true}, "eth1"), "self-test: host 10.9.0.2 answers by eth1", "eth1")
	})
	t.Run("one of two", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "route add default nexthop via 10.9.0.2 dev eth1 nexthop via 10.9.0.3 dev eth1")
		w.sh(w.gw, "addr add 10.9.0.3/24 dev eth0")
		test := w.begin(Options{Moves: true}, "eth1")
		w.sh(w.gw, "addr del 10.9.0.3/24 dev eth0")
		w.fails(test, []string{"eth1"}, "gateway 10.9.0.3 answered by eth1 before")
	})
	t.Run("by a bridge", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "link add br0 type bridge", "link set br0 up", "link set eth1 master br0",
			"addr flush dev eth1", "addr add 10.9.0.1/24 dev br0", "route add default via 10.9.0.2 dev br0")
		reach(t, w)
		test := w.begin(Options{Moves: true}, "eth1")
		w.passes(test, "gateway 10.9.0.2 answers by eth1", "eth1")
		test = w.begin(Options{Moves: true}, "eth1")
		labtest.Must(t, w.one.SwallowFromA(true))
		w.fails(test, []string{"eth1"}, "gateway 10.9.0.2 answered by br0 before")
	})
}

// TestHosts asks hosts where there is no gateway: one is enough.
func TestHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.passes(w.begin(Options{Moves: true}, "eth1"), "nothing to ask", "eth1")
	w.sh(w.gw, "addr add 10.9.0.3/24 dev eth0")
	for _, to := range []string{"10.9.0.2", "10.9.0.3"} {
		dial(t, w, to)
	}
	test, all := w.begin(Options{Moves: true}, "eth1"), w.begin(Options{Moves: true}, "eth1")
	if len(test.targets) != 2 {
		t.Errorf("%d hosts are required", len(test.targets))
	}
	w.sh(w.gw, "addr del 10.9.0.3/24 dev eth0")
	w.passes(test, "host 10.9.0.2 answers by eth1", "eth1")
	labtest.Must(t, w.one.SwallowFromB(true))
	w.fails(all, []string{"eth1"}, "host 10.9.0.2", "host 10.9.0.3", " answered by eth1 before, and not")
}

func reach(t *testing.T, w *world) { dial(t, w, "10.9.0.2") }

// dial makes a TCP connection of box to gw.
func dial(t *testing.T, w *world, to string) (at, from net.Conn) {
	t.Helper()
	return connect(t, w.gw, w.box, to)
}

func connect(t *testing.T, server, client *lab.Host, to string) (at, from net.Conn) {
	t.Helper()
	var l net.Listener
	labtest.Must(t, server.Do(func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(to, "0")); return err }))
	defer l.Close()
	labtest.Must(t, client.Do(func() (err error) { from, err = net.Dial("tcp", l.Addr().String()); return err }))
	t.Cleanup(func() { _ = from.Close() })
	at, err := l.Accept()
	labtest.Must(t, err)
	t.Cleanup(func() { _ = at.Close() })
	return at, from
}

// TestSession judges the connection of an SSH session whose next hop answers all the time.
func TestSession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		cut, speaks bool
		want        string // of a failure: not
	}{
		{"silent", false, false, "answers by eth1"}, {"goes on", false, true, "the SSH connection goes on"},
		{"cut off, silent", true, false, "answers by eth1"}, {"cut off", true, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, viaOne)
			at, _ := connect(t, w.box, w.gw, "10.9.0.1")
			c := ssh.Connection{Client: netip.MustParseAddrPort(at.RemoteAddr().String()),
				Server: netip.MustParseAddrPort(at.LocalAddr().String())}
			test := w.begin(Options{Moves: true, Session: c}, "eth1")
			if !test.session {
				t.Fatal("no session by eth1")
			}
			if tt.want == "" {
				test.o.Within = within
			}
			if tt.cut {
				w.sh(w.gw, "rule add ipproto tcp prohibit pref 1")
			}
			labtest.Must(t, w.box.Do(func() error { test.Through("eth1", w.index("eth1")...); return nil }))
			if tt.speaks {
				_, err := at.Write([]byte("hello"))
				labtest.Must(t, err)
			}
			var step string
			var err error
			_ = w.box.Do(func() error { step, err = test.Check(context.Background()); return nil })
			switch {
			case tt.want != "" && (err != nil || !strings.HasSuffix(step, tt.want)):
				t.Errorf("%q, %v, want %q", step, err, tt.want)
			case tt.want == "" && (err == nil ||
				!strings.Contains(err.Error(), "SSH connection from "+c.Client.String())):
				t.Errorf("%q, %v", step, err)
			}
		})
	}
	t.Run("elsewhere", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		at, _ := connect(t, w.box, w.gw, "10.9.0.1")
		c := ssh.Connection{Client: netip.MustParseAddrPort(at.RemoteAddr().String()),
			Server: netip.MustParseAddrPort(at.LocalAddr().String())}
		if test := w.begin(Options{Moves: true, Session: c}, "eth2"); test.session || !test.Empty() {
			t.Errorf("a session by another NIC is judged, %s required", names(test.targets))
		}
	})
}

func TestJudge(t *testing.T) {
	ref := ssh.TCPInfo{BytesAcked: 10, Unacked: 2, BytesSent: 30, BytesReceived: 7}
	for _, tt := range []struct {
		name string
		now  ssh.TCPInfo
		want progress
	}{
		{"nothing has moved", ref, sessionWaits},
		{"the client repeats itself", ssh.TCPInfo{BytesAcked: 10, Unacked: 2, BytesReceived: 9, SegmentsIn: 5},
			sessionWaits},
		{"what was under way is acknowledged", ssh.TCPInfo{BytesAcked: 30, Unacked: 1, BytesSent: 40}, sessionWaits},
		{"the SYN counts", ssh.TCPInfo{BytesAcked: 31, Unacked: 1, BytesSent: 40}, sessionWaits},
		{"more is acknowledged", ssh.TCPInfo{BytesAcked: 35, Unacked: 1, BytesSent: 40}, sessionProgresses},
		{"silent", ssh.TCPInfo{BytesAcked: 10}, sessionSilent},
		{"the adapter has no carrier", ssh.TCPInfo{BytesAcked: 10, NotSent: 5}, sessionWaits},
	} {
		if got := judge(ref, tt.now); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
