// SPDX-License-Identifier: MIT

package ssh

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// roleVariable makes the test binary a process of TestAncestor.
const roleVariable = "NICTEAM_TEST_SSH"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "server":
		os.Exit(serveOne())
	case "caller":
		c, ok := OfCaller()
		fmt.Println("caller", c, ok)
		os.Exit(0)
	}
	labtest.Main(m)
}

// serveOne accepts a connection and runs the caller, as a server of SSH sessions runs a shell, until its input ends.
func serveOne() int {
	l, err := net.Listen("tcp", "10.9.0.1:22")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listens")
	if _, err = l.Accept(); err != nil {
		fmt.Println(err)
		return 1
	}
	shell := exec.Command("/bin/sh", "-c", "/proc/$PPID/exe; exit $?")
	shell.Env = []string{roleVariable + "=caller"}
	shell.Stdout, shell.Stderr = os.Stdout, os.Stdout
	if err := shell.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// world is a server with two NICs to a client; TCP connections to it stay open.
func world(t *testing.T) (server, client *lab.Host) {
	labtest.Root(t)
	server, client = labtest.Host(t, "server"), labtest.Host(t, "client")
	labtest.Cable(t, server, "eth1", client, "c1", lab.CableOptions{})
	labtest.Cable(t, server, "eth2", client, "c2", lab.CableOptions{})
	labtest.Must(t, server.SetAddr("eth1", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, server.SetAddr("eth2", "10.9.1.1/24"))
	labtest.Must(t, client.SetAddr("c1", "10.9.0.2/24", "fd09::2/64"))
	labtest.Must(t, client.SetAddr("c2", "10.9.1.2/24"))
	return server, client
}

// dial connects to a server of the test and returns both ends.
func dial(t *testing.T, server, client *lab.Host, address string) (at, from net.Conn) {
	t.Helper()
	var l net.Listener
	labtest.Must(t, server.Do(func() (err error) { l, err = net.Listen("tcp", address); return err }))
	t.Cleanup(func() { _ = l.Close() })
	labtest.Must(t, client.Do(func() (err error) { from, err = net.Dial("tcp", l.Addr().String()); return err }))
	t.Cleanup(func() { _ = from.Close() })
	at, err := l.Accept()
	labtest.Must(t, err)
	t.Cleanup(func() { _ = at.Close() })
	return at, from
}

func connectionOf(at net.Conn) Connection {
	return Connection{Client: at.RemoteAddr().(*net.TCPAddr).AddrPort(),
		Server: at.LocalAddr().(*net.TCPAddr).AddrPort()}
}

// TestEnv has SSH_CONNECTION name a connection that is there, one that is gone, and nonsense.
func TestEnv(t *testing.T) {
	server, client := world(t)
	labtest.Must(t, server.Sysctl("ipv6/conf/eth1/accept_dad", "0"))
	for _, address := range []string{"10.9.0.1:0", "[fd09::1]:0"} {
		at, from := dial(t, server, client, address)
		c := connectionOf(at)
		c.Client = netip.AddrPortFrom(c.Client.Addr().Unmap(), c.Client.Port())
		c.Server = netip.AddrPortFrom(c.Server.Addr().Unmap(), c.Server.Port())
		t.Setenv("SSH_CONNECTION", fmt.Sprintf("%v %d %v %d", c.Client.Addr(), c.Client.Port(), c.Server.Addr(),
			c.Server.Port()))
		labtest.Must(t, server.Do(func() error {
			if got, ok := OfCaller(); !ok || got != c {
				t.Errorf("OfCaller() = %v, %v, want %v", got, ok, c)
			}
			if by := c.Links(); !slices.Equal(by, []string{"eth1"}) {
				t.Errorf("%v goes by %v", c, by)
			}
			if list := ByNIC("eth1"); len(list) != 1 || list[0].Connection != c || !list[0].Caller {
				t.Errorf("by eth1: %+v", list)
			}
			if list := ByNIC("eth2"); len(list) != 0 {
				t.Errorf("by eth2: %+v", list)
			}
			return nil
		}))
		_ = from.Close()
		_ = at.Close()
		labtest.Must(t, server.Do(func() error {
			if got, ok := OfCaller(); ok {
				t.Errorf("OfCaller() = %v, which has ended", got)
			}
			return nil
		}))
	}
	for _, text := range []string{"10.9.0.2", "10.9.0.2 1 10.9.0.1", "10.9.0.2 0 10.9.0.1 22", "a 1 b 2",
		"10.9.0.2 70000 10.9.0.1 22"} {
		if c, err := ParseEnv(text); err == nil {
			t.Errorf("ParseEnv(%q) = %v", text, c)
		}
	}
}

// TestMapped finds a connection over IPv4 at a socket for IPv6, as sshd's are.
func TestMapped(t *testing.T) {
	server, client := world(t)
	var l net.Listener
	labtest.Must(t, server.Do(func() (err error) { l, err = net.Listen("tcp", ":2222"); return err }))
	defer l.Close()
	labtest.Must(t, client.Do(func() error { _, err := net.Dial("tcp", "10.9.1.1:2222"); return err }))
	at, err := l.Accept()
	labtest.Must(t, err)
	defer at.Close()
	c := Connection{Client: netip.MustParseAddrPort(at.RemoteAddr().String()),
		Server: netip.MustParseAddrPort("10.9.1.1:2222")}
	labtest.Must(t, server.Do(func() error {
		if _, ok, err := c.TCPInfo(); !ok || err != nil {
			t.Errorf("%v: %v, %v", c, ok, err)
		}
		if by := c.Links(); !slices.Equal(by, []string{"eth2"}) {
			t.Errorf("%v goes by %v", c, by)
		}
		return nil
	}))
}

// TestLinkLocal has a connection whose addresses have a zone.
func TestLinkLocal(t *testing.T) {
	server, client := world(t)
	for h, nic := range map[*lab.Host]string{server: "eth2", client: "c2"} {
		labtest.Must(t, h.Sysctl("ipv6/conf/"+nic+"/accept_dad", "0"))
		labtest.Must(t, h.SetAddr(nic, map[string]string{"eth2": "fe80::91/64", "c2": "fe80::92/64"}[nic]))
	}
	var l net.Listener
	labtest.Must(t, server.Do(func() (err error) { l, err = net.Listen("tcp", "[::]:2222"); return err }))
	defer l.Close()
	c2, err := client.Handle().LinkByName("c2")
	labtest.Must(t, err)
	to := fmt.Sprintf("[fe80::91%%%d]:2222", c2.Attrs().Index) // package net caches names of zones
	labtest.Eventually(t, "a connection", func() bool {
		return client.Do(func() error { _, err := net.Dial("tcp", to); return err }) == nil
	})
	at, err := l.Accept()
	labtest.Must(t, err)
	defer at.Close()
	port := at.RemoteAddr().(*net.TCPAddr).Port
	c := Connection{Client: netip.MustParseAddrPort(fmt.Sprintf("[%s%%eth2]:%d", "fe80::92", port)),
		Server: netip.MustParseAddrPort("[fe80::91%eth2]:2222")}
	c.Client = netip.AddrPortFrom(at.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().WithZone("eth2"), uint16(port))
	labtest.Must(t, server.Do(func() error {
		s, ok, err := c.socket()
		if !ok || err != nil || s.connection() != c {
			t.Errorf("%v: %v, %v, %v", c, s.connection(), ok, err)
		}
		if by := c.Links(); !slices.Equal(by, []string{"eth2"}) {
			t.Errorf("%v goes by %v", c, by)
		}
		return nil
	}))
}

// TestProgress sees bytes acknowledged, and bytes that are not.
func TestProgress(t *testing.T) {
	server, client := world(t)
	cable := labtest.Cable(t, server, "eth3", client, "c3", lab.CableOptions{})
	labtest.Must(t, server.SetAddr("eth3", "10.9.3.1/24"))
	labtest.Must(t, client.SetAddr("c3", "10.9.3.2/24"))
	at, _ := dial(t, server, client, "10.9.3.1:2222")
	c := connectionOf(at)
	info := func() (i TCPInfo) {
		labtest.Must(t, server.Do(func() error {
			var ok bool
			var err error
			if i, ok, err = c.TCPInfo(); !ok {
				return fmt.Errorf("%v is not there: %w", c, err)
			}
			return nil
		}))
		return i
	}
	before := info()
	_, err := at.Write([]byte("hello"))
	labtest.Must(t, err)
	labtest.Eventually(t, "5 bytes are acknowledged", func() bool {
		i := info()
		return i.Unacked == 0 && i.BytesAcked == before.BytesAcked+5 &&
			i.BytesSent == before.BytesSent+5 && i.SegmentsIn > before.SegmentsIn && i.RTO > 0
	})
	labtest.Must(t, cable.SwallowFromA(true))
	_, err = at.Write([]byte("hello"))
	labtest.Must(t, err)
	labtest.Eventually(t, "a segment is sent again", func() bool {
		i := info()
		return i.Unacked == 1 && i.Retransmits > 0 && i.BytesSent == before.BytesSent+10
	})
	labtest.Must(t, client.Command("ip", "link", "set", "c3", "down").Run())
	_, err = at.Write([]byte("hello"))
	labtest.Must(t, err)
	labtest.Eventually(t, "a segment is not sent", func() bool { return info().NotSent > 0 || info().Unacked > 1 })
}

// TestAncestor finds the connection of the server that is an ancestor of the caller, and the server's own sessions.
func TestAncestor(t *testing.T) {
	server, client := world(t)
	path := filepath.Join(t.TempDir(), "sshd-session")
	exe, err := os.Executable()
	labtest.Must(t, err)
	labtest.Must(t, os.Symlink(exe, path))
	sshd := server.Command(path)
	sshd.Env = []string{roleVariable + "=server"}
	stdin, err := sshd.StdinPipe()
	labtest.Must(t, err)
	out, err := sshd.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, sshd.Start())
	defer func() {
		_ = stdin.Close()
		labtest.Must(t, sshd.Wait())
	}()
	lines := bufio.NewScanner(out)
	next := func(want string) {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
	}
	next("listens")
	var from net.Conn
	labtest.Must(t, client.Do(func() (err error) { from, err = net.Dial("tcp", "10.9.0.1:22"); return err }))
	defer from.Close()
	c := Connection{Client: netip.MustParseAddrPort(from.LocalAddr().String()),
		Server: netip.MustParseAddrPort("10.9.0.1:22")}
	next("caller " + c.String() + " true")
	t.Setenv("SSH_CONNECTION", "")
	labtest.Must(t, server.Do(func() error {
		if list := ByNIC("eth1", "eth2"); len(list) != 1 || list[0].Connection != c || list[0].Caller {
			t.Errorf("sessions: %+v", list)
		}
		return nil
	}))
}

// TestBelow has a connection by a VLAN and by a bridge.
func TestBelow(t *testing.T) {
	server, client := world(t)
	labtest.Tool(t, "ip", "iproute2")
	for _, line := range []string{"link add br0 type bridge", "link set br0 up", "link set eth2 master br0",
		"addr del 10.9.1.1/24 dev eth2", "addr add 10.9.1.1/24 dev br0"} {
		if out, err := server.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	at, _ := dial(t, server, client, "10.9.1.1:2222")
	c := connectionOf(at)
	labtest.Must(t, server.Do(func() error {
		if by := c.Links(); !slices.Equal(by, []string{"br0", "eth2"}) {
			t.Errorf("%v goes by %v", c, by)
		}
		return nil
	}))
}
