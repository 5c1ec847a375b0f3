// SPDX-License-Identifier: MIT

package masquerade

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

// natWorld is a host behind box, whose connections to a host outside box masquerades:
//
//	inside ── in0  box  out0 ── outside
type natWorld struct {
	inside, box, outside *lab.Host
	conn                 *rtnl.Conn // box's
}

func newNATWorld(t *testing.T) *natWorld {
	labtest.Root(t)
	labtest.Tool(t, "ip", "iproute2")
	labtest.Tool(t, "nft", "nftables")
	w := &natWorld{inside: labtest.Host(t, "inside"), box: labtest.Host(t, "box"), outside: labtest.Host(t, "outside")}
	labtest.Cable(t, w.inside, "eth0", w.box, "in0", lab.CableOptions{})
	labtest.Cable(t, w.box, "out0", w.outside, "eth0", lab.CableOptions{})
	labtest.Must(t, w.inside.SetAddr("eth0", "10.77.0.2/24", "fd77::2/64"))
	labtest.Must(t, w.box.SetAddr("in0", "10.77.0.1/24", "fd77::1/64"))
	labtest.Must(t, w.box.SetAddr("out0", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, w.outside.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
	labtest.Run(t, w.inside, "sh", "-ec", "ip route add default via 10.77.0.1; ip -6 route add default via fd77::1")
	labtest.Run(t, w.box, "sh", "-ec", `
		echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		nft -f - <<-'E'
			table inet nat { chain post { type nat hook postrouting priority 100; iifname "in0" oifname "out0" masquerade; }; }
		E`)
	labtest.Must(t, w.box.Do(func() (err error) {
		w.conn, err = rtnl.Open(slog.New(slog.DiscardHandler), noFault)
		return err
	}))
	t.Cleanup(w.conn.Close)
	return w
}

func noFault(string) error { return nil }

// rebind makes the connections of these addresses anew.
func (w *natWorld) rebind(t *testing.T, addresses ...string) (c *Rebinding) {
	t.Helper()
	var list []rtnl.Object
	for _, a := range addresses {
		list = append(list, rtnl.NewAddress(netip.MustParsePrefix(a), 1))
	}
	labtest.Must(t, w.box.Do(func() (err error) {
		c, err = Start(w.conn, slog.New(slog.DiscardHandler), "team0", list)
		return err
	}))
	return c
}

// download is TCP from outside to inside that is never begun again.
type download struct {
	near, far net.Conn
	heard     atomic.Int64
	broken    chan error
}

func (w *natWorld) download(t *testing.T, at string) *download {
	t.Helper()
	d := &download{broken: make(chan error, 3)}
	var l net.Listener
	labtest.Must(t, w.outside.Do(func() (err error) { l, err = net.Listen("tcp", at); return err }))
	defer l.Close()
	labtest.Must(t, w.inside.Do(func() (err error) {
		d.near, err = net.DialTimeout("tcp", l.Addr().String(), labtest.Patience)
		return err
	}))
	t.Cleanup(func() { d.near.Close() })
	var err error
	d.far, err = l.Accept()
	labtest.Must(t, err)
	t.Cleanup(func() { d.far.Close() })
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := d.near.Read(b)
			if err != nil {
				d.broken <- err
				return
			}
			d.heard.Add(int64(n))
		}
	}()
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := d.far.Write(b); err != nil {
				d.broken <- err
				return
			}
		}
	}()
	return d
}

// goesOn waits until more has come.
func (d *download) goesOn(t *testing.T) {
	t.Helper()
	before := d.heard.Load()
	labtest.Eventually(t, "more of the download", func() bool { return len(d.broken) > 0 || d.heard.Load() > before })
	if len(d.broken) > 0 {
		t.Fatal("the download was cut:", <-d.broken)
	}
}

// repeated is how often segments were sent again, or the window of a peer that reads slowly was probed: that counts
// from the last answer.
func repeated(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	labtest.Must(t, err)
	var info *unix.TCPInfo
	labtest.Must(t,
		raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO) }))
	labtest.Must(t, err)
	return info.Total_retrans + uint32(info.Probes)
}

// TestMadeAnewUnderLoad makes connections anew again and again while they carry what they can.
func TestMadeAnewUnderLoad(t *testing.T) {
	w := newNATWorld(t)
	all := []*download{w.download(t, "10.9.0.2:0"), w.download(t, "[fd09::2]:0")}
	const often = 20
	carried := 0
	for range often {
		c := w.rebind(t, "10.9.0.1/24", "fd09::1/64")
		carried += c.count
		if note := c.Close(); note != "" {
			t.Error(note)
		}
		for _, d := range all {
			d.goesOn(t)
		}
	}
	if carried < often*len(all) {
		t.Errorf("made anew %d times", carried)
	}
}

// TestNoResetInBetween leaves much time between the end of a connection and its new beginning: what the
// peer sends meanwhile finds a host that does not know the connection, and must not be reset. Without a guard it is.
func TestNoResetInBetween(t *testing.T) {
	w := newNATWorld(t)
	for _, test := range []struct{ at, address string }{{"10.9.0.2:0", "10.9.0.1"}, {"[fd09::2]:0", "fd09::1"}} {
		t.Run(test.at, func(t *testing.T) {
			d := w.download(t, test.at)
			d.goesOn(t)
			labtest.Must(t, w.box.Do(func() error {
				n, err := nfnl.Open()
				labtest.Must(t, err)
				defer n.Close()
				list, err := connectionsBy(n, []netip.Addr{netip.MustParseAddr(test.address)})
				labtest.Must(t, err)
				if len(list) != 1 {
					t.Fatalf("connections: %v", list)
				}
				g, err := openGuard("team0")
				labtest.Must(t, err)
				defer g.close()
				labtest.Must(t, g.add(list))
				d.goesOn(t)
				errs, err := n.Batch([]nfnl.Message{{Kind: ctDelete, Flags: 0, Body: list[0].toDelete()}})
				labtest.Must(t, errors.Join(append(errs, err)...))
				before := repeated(t, d.far)
				labtest.Eventually(t, "segments that are sent again",
					func() bool { return len(d.broken) > 0 || repeated(t, d.far) > before+1 })
				if left, err := connectionsBy(n, []netip.Addr{netip.MustParseAddr(test.address)}); err != nil ||
					len(left) > 0 {
					t.Errorf("a packet began the connection anew: %v %v", left, err)
				}
				body, err := list[0].toCreate()
				labtest.Must(t, err)
				errs, err = n.Batch([]nfnl.Message{{Kind: ctNew, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL,
					Body: body}})
				labtest.Must(t, errors.Join(append(errs, err)...))
				return nil
			}))
			d.goesOn(t)
			if out := labtest.Run(t, w.box, "nft", "list", "tables"); out != "table inet nat\n" {
				t.Errorf("tables of nft:\n%s", out)
			}
			d.near.Close()
		})
	}
}

// TestManyConnections carries ten thousand over.
func TestManyConnections(t *testing.T) {
	w := newNATWorld(t)
	const many = 10000
	labtest.Must(t, w.box.Do(func() error {
		n, err := nfnl.Open()
		labtest.Must(t, err)
		defer n.Close()
		var batch []nfnl.Message
		for i := range many {
			c := examples()["UDP"]
			client := netip.AddrPortFrom(netip.MustParseAddr("10.77.0.2"), uint16(10000+i)).String()
			translated := netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), uint16(10000+i)).String()
			c.Set(ctaTupleOrig, tupleAttr(0, ported(unix.IPPROTO_UDP, client, "192.0.2.1:53")).Value)
			c.Set(ctaTupleReply, tupleAttr(0, ported(unix.IPPROTO_UDP, "192.0.2.1:53", translated)).Value)
			c, err := parseConnection(c.Serialize())
			labtest.Must(t, err)
			body, err := c.toCreate()
			labtest.Must(t, err)
			batch = append(batch, nfnl.Message{Kind: ctNew, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, Body: body})
		}
		for part := range slices.Chunk(batch, 64) {
			errs, err := n.Batch(part)
			labtest.Must(t, errors.Join(append(errs, err)...))
		}
		return nil
	}))
	begun := time.Now()
	c := w.rebind(t, "10.9.0.1/24", "fd09::1/64")
	took := time.Since(begun)
	t.Logf("%d connections made anew in %v", c.count, took)
	begun = time.Now()
	switch note := c.Close(); {
	case c.count+c.failed != many:
		t.Errorf("carried %d and left %d of %d: %s", c.count, c.failed, many, note)
	case c.failed > 0 && (took < maxTime || note == ""): // an emulated machine may not do it in time, and says so
		t.Errorf("left %d after %v: %q", c.failed, took, note)
	}
	t.Logf("the guard ended in %v", time.Since(begun))
}

// TestCatchUp makes connections anew that began after the others were listed, whether the kernel tells of them or not.
func TestCatchUp(t *testing.T) {
	for _, events := range []string{"1", "0"} {
		t.Run("events "+events, func(t *testing.T) {
			w := newNATWorld(t)
			labtest.Must(t, w.box.Sysctl("netfilter/nf_conntrack_events", events))
			w.download(t, "10.9.0.2:0").goesOn(t) // tracking begins with the first packet
			c := w.rebind(t, "10.9.0.1/24", "fd09::1/64")
			if c.count != 1 || c.eventsLost != (events == "0") {
				t.Fatalf("%d carried, deaf %v", c.count, c.eventsLost)
			}
			four, six := w.download(t, "10.9.0.2:0"), w.download(t, "[fd09::2]:0")
			four.goesOn(t)
			six.goesOn(t)
			labtest.Must(t, w.box.Do(c.CatchUp))
			if c.count != 3 {
				t.Errorf("%d carried", c.count)
			}
			labtest.Must(t, w.box.Do(c.CatchUp))
			if c.count != 3 {
				t.Errorf("%d carried the second time", c.count)
			}
			if note := c.Close(); note != "" {
				t.Error(note)
			}
			four.goesOn(t)
			six.goesOn(t)
		})
	}
}

// TestMasqueradedToLo carries connections of an interface that has no address: a masquerade then takes one of lo.
func TestMasqueradedToLo(t *testing.T) {
	w := newNATWorld(t)
	labtest.Run(t, w.box, "sh", "-ec", `
		ip addr del 10.9.0.1/24 dev out0
		ip addr add 10.50.0.1/32 dev lo
		ip route add 10.9.0.0/24 dev out0`)
	labtest.Run(t, w.outside, "ip", "route", "add", "10.50.0.1", "dev", "eth0")
	d := w.download(t, "10.9.0.2:0")
	d.goesOn(t)
	c := w.rebind(t)
	if note := c.Close(); note != "" || c.count != 1 {
		t.Errorf("%d carried: %s", c.count, note)
	}
	d.goesOn(t)
}
