package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// guests are hosts behind box, whose connections box masquerades as Docker does, by rules that do not name a NIC.
func (w *world) guests() *lab.Host {
	w.t.Helper()
	labtest.Tool(w.t, "nft", "nftables")
	guest := labtest.Host(w.t, "guest")
	labtest.Cable(w.t, w.box, "dock0", guest, "eth0", lab.CableOptions{})
	labtest.Must(w.t, w.box.SetAddr("dock0", "172.17.0.1/16", "fd17::1/64"))
	labtest.Must(w.t, guest.SetAddr("eth0", "172.17.0.2/16", "172.17.0.3/16", "fd17::2/64"))
	labtest.Run(w.t, guest, "ip", "route", "add", "default", "via", "172.17.0.1")
	labtest.Run(w.t, guest, "ip", "-6", "route", "add", "default", "via", "fd17::1")
	labtest.Must(w.t, w.box.Sysctl("ipv4/ip_forward", "1"))
	labtest.Must(w.t, w.box.Sysctl("ipv6/conf/all/forwarding", "1"))
	for _, family := range []string{"ip", "ip6"} {
		labtest.Run(w.t, w.box, "nft", fmt.Sprintf(`table %s nat {
			chain post { type nat hook postrouting priority 100; iifname "dock0" oifname != "dock0" masquerade; }
		}`, family))
	}
	return guest
}

// download is a connection from a guest on which peer alone speaks: nothing that the guest sends could make box know it anew.
type download struct {
	t    testing.TB
	from net.Conn
	to   *bufio.Reader
	n    int
}

// download connects from an address of a guest.
func (w *world) download(guest *lab.Host, to, from string, port int) *download {
	w.t.Helper()
	l, err := w.peer.Listen("tcp", net.JoinHostPort(to, "0"))
	labtest.Must(w.t, err)
	defer l.Close()
	var c net.Conn
	labtest.Must(w.t, guest.Do(func() error {
		d := net.Dialer{FallbackDelay: -1, Timeout: labtest.Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from), Port: port}}
		c, err = d.DialContext(w.t.Context(), "tcp", l.Addr().String())
		return err
	}))
	labtest.Must(w.t, c.SetDeadline(time.Now().Add(10*labtest.Patience)))
	s, err := l.Accept()
	labtest.Must(w.t, err)
	w.t.Cleanup(func() { s.Close(); c.Close() })
	d := &download{t: w.t, from: s, to: bufio.NewReader(c)}
	d.works("at first")
	return d
}

// works has peer send a line.
func (d *download) works(when string) {
	d.t.Helper()
	d.n++
	line := fmt.Sprintf("line %d\n", d.n)
	_, err := io.WriteString(d.from, line)
	if err == nil {
		var got string
		if got, err = d.to.ReadString('\n'); err == nil && got != line {
			err = fmt.Errorf("got %q, want %q", got, line)
		}
	}
	if err != nil {
		d.t.Fatalf("masqueraded connection %s: %v", when, err)
	}
}

// TestMasqueradedConnections: what box masquerades for others lives on through a takeover, a joining NIC, the end of the team and a restore.
func TestMasqueradedConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{NICs: 3})
	guest := w.guests()
	labtest.Must(t, w.box.SetAddr("eth3", "10.9.0.7/24"))
	all := map[string]*download{
		"IPv4":       w.download(guest, "10.9.0.2", "172.17.0.2", 40000),
		"a new port": w.download(guest, "10.9.0.2", "172.17.0.3", 40000),
		"IPv6":       w.download(guest, "fd09::2", "fd17::2", 40000),
	}
	work := func(when string) {
		t.Helper()
		for name, k := range all {
			k.works(when + ": " + name)
		}
	}
	w.create(nics(2))
	work("with the team")
	all["begun with the team"] = w.download(guest, "10.9.0.2", "172.17.0.2", 0)
	all["begun with the team by IPv6"] = w.download(guest, "fd09::2", "fd17::2", 0)
	w.nicteam("add", teamName, "eth3")
	work("after a NIC has joined")
	w.nicteam("delete", teamName)
	work("after the end of the team")

	w.create(nics(2))
	work("with the second team")
	w.kill(w.teamProcess(), unix.SIGKILL)
	w.nicteam("restore", teamName)
	work("after a restore")
}
