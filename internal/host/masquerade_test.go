package host

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
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
	h                    *Host // box
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
		w.h, err = Open(Options{StateDir: t.TempDir(), Team: teamName})
		return err
	}))
	t.Cleanup(func() { w.h.Close() })
	return w
}

// carry makes the connections of these addresses anew.
func (w *natWorld) carry(t *testing.T, addresses ...string) (c *carrying) {
	t.Helper()
	var list []rtnl.Object
	for _, a := range addresses {
		list = append(list, rtnl.NewAddress(netip.MustParsePrefix(a), 1))
	}
	labtest.Must(t, w.box.Do(func() (err error) {
		c, err = w.h.carry(list)
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

// repeated is how often segments were sent again.
func repeated(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	labtest.Must(t, err)
	var info *unix.TCPInfo
	labtest.Must(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO) }))
	labtest.Must(t, err)
	return info.Total_retrans
}

// TestMadeAnewUnderLoad makes connections anew again and again while they carry what they can.
func TestMadeAnewUnderLoad(t *testing.T) {
	w := newNATWorld(t)
	all := []*download{w.download(t, "10.9.0.2:0"), w.download(t, "[fd09::2]:0")}
	const often = 20
	carried := 0
	for range often {
		c := w.carry(t, "10.9.0.1/24", "fd09::1/64")
		carried += c.carried
		if note := c.close(); note != "" {
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
				g, err := openConnectionGuard(teamName)
				labtest.Must(t, err)
				defer g.close()
				labtest.Must(t, g.add(list))
				d.goesOn(t)
				errs, err := n.Batch([]nfnl.Message{{Kind: ctDelete, Flags: 0, Body: list[0].toDelete()}})
				labtest.Must(t, errors.Join(append(errs, err)...))
				before := repeated(t, d.far)
				labtest.Eventually(t, "segments that are sent again", func() bool { return len(d.broken) > 0 || repeated(t, d.far) > before+1 })
				if left, err := connectionsBy(n, []netip.Addr{netip.MustParseAddr(test.address)}); err != nil || len(left) > 0 {
					t.Errorf("a packet began the connection anew: %v %v", left, err)
				}
				body, err := list[0].toCreate()
				labtest.Must(t, err)
				errs, err = n.Batch([]nfnl.Message{{Kind: ctNew, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, Body: body}})
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
	c := w.carry(t, "10.9.0.1/24", "fd09::1/64")
	took := time.Since(begun)
	t.Logf("%d connections made anew in %v", c.carried, took)
	begun = time.Now()
	switch note := c.close(); {
	case c.carried+c.left != many:
		t.Errorf("carried %d and left %d of %d: %s", c.carried, c.left, many, note)
	case c.left > 0 && (took < carryTime || note == ""): // an emulated machine may not do it in time, and says so
		t.Errorf("left %d after %v: %q", c.left, took, note)
	}
	t.Logf("the guard ended in %v", time.Since(begun))
}

// TestCountTranslated reads what the kernel prints where it cannot be asked.
func TestCountTranslated(t *testing.T) {
	const text = `ipv4     2 tcp      6 431999 ESTABLISHED src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.0.1 dst=192.0.2.1 sport=4001 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4001 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.0.1 dst=192.0.2.1 sport=4002 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=50002 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.77.0.2 dst=192.0.2.1 sport=5000 dport=53 [UNREPLIED] src=192.0.2.1 dst=10.9.0.1 sport=53 dport=5000 mark=0 zone=0 use=2
ipv4     2 icmp     1 29 src=10.77.0.2 dst=192.0.2.1 type=8 code=0 id=1 src=192.0.2.1 dst=10.9.0.1 type=0 code=0 id=1 mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.7 sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2
ipv6     10 tcp      6 431984 ESTABLISHED src=fd77:0000:0000:0000:0000:0000:0000:0002 dst=fd01:0000:0000:0000:0000:0000:0000:0002 sport=53820 dport=42301 src=fd01:0000:0000:0000:0000:0000:0000:0002 dst=fd09:0000:0000:0000:0000:0000:0000:0001 sport=42301 dport=53820 [ASSURED] mark=0 zone=0 use=2
`
	addresses := []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")}
	if n := countTranslated(strings.NewReader(text), addresses); n != 5 {
		t.Errorf("%d connections are translated, want 5", n)
	}
	// What the kernel of this machine prints is read, too, if it does.
	if _, err := os.Stat("/proc/net/nf_conntrack"); err != nil {
		return
	}
	w := newNATWorld(t)
	d := w.download(t, "10.9.0.2:0")
	d.goesOn(t)
	if n := countTranslated(strings.NewReader(labtest.Run(t, w.box, "cat", "/proc/net/nf_conntrack")), addresses); n != 1 {
		t.Errorf("%d connections of one are found", n)
	}
}

// FuzzCountTranslated reads what may stand in /proc/net/nf_conntrack.
func FuzzCountTranslated(f *testing.F) {
	f.Add("src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4000\n")
	f.Add("src=10.77.0.2 dst=192.0.2.1 src=192.0.2.1 dst=10.9.0.1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := countTranslated(strings.NewReader(text), []netip.Addr{netip.MustParseAddr("10.9.0.1")}); n > strings.Count(text, "10.9.0.1") {
			t.Errorf("%d connections", n)
		}
	})
}

// TestNotCarried tells connections that are left, and leaves them without a message to the kernel: one in a flowtable cannot be deleted.
func TestNotCarried(t *testing.T) {
	one := examples()["TCP"]
	one.Set(ctaStatus, binary.BigEndian.AppendUint32(nil, established|1<<14))
	if n, why := notCarried([]connection{one, examples()["UDP"]}); n != 1 || !strings.Contains(why, "flowtable") {
		t.Errorf("%d are not carried: %s", n, why)
	}
	if n, why := notCarried([]connection{examples()["UDP"]}); n != 0 || why != "" {
		t.Errorf("%d are not carried: %s", n, why)
	}
	if n, why := notCarried(slices.Repeat([]connection{examples()["UDP"]}, carriedAtMost+7)); n != 7 || why == "" {
		t.Errorf("%d are not carried: %s", n, why)
	}
	h, err := Open(Options{})
	labtest.Must(t, err)
	defer h.Close()
	c := &carrying{h: h, done: map[string]bool{}}
	if again := c.moveSome([]connection{one}); again != nil || c.left != 1 || c.carried != 0 {
		t.Errorf("again %v, %d left, %d carried", again, c.left, c.carried)
	}
	if note := c.close(); !strings.Contains(note, "over: 1 (") {
		t.Errorf("the note is %q", note)
	}
}

// TestCatchUp makes connections anew that began after the others were listed, whether the kernel tells of them or not.
func TestCatchUp(t *testing.T) {
	for _, events := range []string{"1", "0"} {
		t.Run("events "+events, func(t *testing.T) {
			w := newNATWorld(t)
			labtest.Must(t, w.box.Sysctl("netfilter/nf_conntrack_events", events))
			w.download(t, "10.9.0.2:0").goesOn(t) // tracking begins with the first packet
			c := w.carry(t, "10.9.0.1/24", "fd09::1/64")
			if c.carried != 1 || c.deaf != (events == "0") {
				t.Fatalf("%d carried, deaf %v", c.carried, c.deaf)
			}
			four, six := w.download(t, "10.9.0.2:0"), w.download(t, "[fd09::2]:0")
			four.goesOn(t)
			six.goesOn(t)
			labtest.Must(t, w.box.Do(c.catchUp))
			if c.carried != 3 {
				t.Errorf("%d carried", c.carried)
			}
			labtest.Must(t, w.box.Do(c.catchUp))
			if c.carried != 3 {
				t.Errorf("%d carried the second time", c.carried)
			}
			if note := c.close(); note != "" {
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
	c := w.carry(t)
	if note := c.close(); note != "" || c.carried != 1 {
		t.Errorf("%d carried: %s", c.carried, note)
	}
	d.goesOn(t)
}

// TestCarryingEnds begins to carry connections over for an Adopt that does not come.
func TestCarryingEnds(t *testing.T) {
	w := newNATWorld(t)
	w.download(t, "10.9.0.2:0").goesOn(t)
	tables := func() string { return labtest.Run(t, w.box, "nft", "list", "tables") }
	before := tables()
	labtest.Must(t, w.box.Do(func() error { return w.h.CarryConnections([]string{"out0"}) }))
	if during := tables(); during == before {
		t.Errorf("no guard: %s", during)
	}
	labtest.Must(t, w.h.Close())
	if after := tables(); after != before {
		t.Errorf("tables of nft after the end:\n%s", after)
	}
}
