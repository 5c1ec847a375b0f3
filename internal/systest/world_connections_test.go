// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// A connection lasts for a whole test and is never made again: an error ends it.
type connection struct {
	name     string
	progress atomic.Int64 // bytes or replies so far
	mu       sync.Mutex
	broken   error
}

func (c *connection) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = err
	}
}

func (c *connection) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// checkProgress waits until every connection has made progress since the call.
func checkProgress(t testing.TB, when string, list []*connection) {
	t.Helper()
	for _, c := range list {
		before := c.progress.Load()
		until := time.Now().Add(labtest.Patience)
		for c.progress.Load() < before+20 && c.failure() == nil && time.Now().Before(until) {
			time.Sleep(5 * time.Millisecond)
		}
		switch err := c.failure(); {
		case err != nil:
			t.Errorf("%s: %s broke: %v", when, c.name, err)
		case c.progress.Load() < before+20:
			t.Errorf("%s: %s stalls", when, c.name)
		}
	}
}

// writeInterval is the time between two writes.
const writeInterval = 2 * time.Millisecond

// startConnections starts TCP with replies, TCP one way and the other, UDP with replies and pings to an address of a
// host.
func startConnections(t testing.TB, from, to *lab.Host, at netip.Addr) (list []*connection) {
	t.Helper()
	add := func(name string) *connection {
		c := &connection{name: fmt.Sprintf("%s to %v", name, at)}
		list = append(list, c)
		return c
	}
	c := add("TCP, answered")
	near, far := connect(t, from, to, at)
	go c.readAll(near)
	go echo(far)
	go c.writeForever(near)
	c = add("TCP, download")
	near, far = connect(t, from, to, at)
	go c.readAll(near)
	go c.writeForever(far)
	c = add("TCP, upload")
	near, far = connect(t, from, to, at)
	go c.readAll(far)
	go c.writeForever(near)
	c = add("UDP")
	near, packets := connectUDP(t, from, to, at)
	go c.readAll(near)
	go echoUDP(packets)
	go c.writeForever(near)
	c = add("echo requests")
	near = dialIn(t, from, map[bool]string{true: "ip4:icmp", false: "ip6:ipv6-icmp"}[at.Is4()], at.String())
	go c.readAll(near)
	go c.pingForever(near, at)
	return list
}

func dialIn(t testing.TB, h *lab.Host, network, address string) (c net.Conn) {
	t.Helper()
	labtest.Must(t, h.Do(func() (err error) {
		c, err = net.DialTimeout(network, address, labtest.Patience)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

func connect(t testing.TB, from, to *lab.Host, at netip.Addr) (near, far net.Conn) {
	t.Helper()
	var l net.Listener
	labtest.Must(t, to.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
		return err
	}))
	defer l.Close()
	near = dialIn(t, from, "tcp", l.Addr().String())
	far, err := l.Accept()
	labtest.Must(t, err)
	t.Cleanup(func() { far.Close() })
	return near, far
}

func connectUDP(t testing.TB, from, to *lab.Host, at netip.Addr) (near net.Conn, far net.PacketConn) {
	t.Helper()
	labtest.Must(t, to.Do(func() (err error) {
		far, err = net.ListenPacket("udp", netip.AddrPortFrom(at, 0).String())
		return err
	}))
	t.Cleanup(func() { far.Close() })
	return dialIn(t, from, "udp", far.LocalAddr().String()), far
}

// readAll counts what arrives.
func (c *connection) readAll(from io.Reader) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.fail(fmt.Errorf("read: %w", err))
			}
			return
		}
		c.progress.Add(int64(min(n, 10)))
	}
}

// writeForever writes until the connection is closed.
func (c *connection) writeForever(to net.Conn) {
	b := make([]byte, 600)
	for {
		if _, err := to.Write(b); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.fail(fmt.Errorf("write: %w", err))
			}
			return
		}
		time.Sleep(writeInterval)
	}
}

func echo(c net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

func echoUDP(c net.PacketConn) {
	b := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = c.WriteTo(b[:n], from)
		}
	}
}

// pingForever sends echo requests with one identifier until the connection is closed.
func (c *connection) pingForever(to net.Conn, at netip.Addr) {
	b := make([]byte, 16)
	if b[0] = 8; at.Is6() {
		b[0] = 128
	}
	for n := 0; ; n++ {
		binary.BigEndian.PutUint16(b[4:], 4711)
		binary.BigEndian.PutUint16(b[6:], uint16(n))
		if at.Is4() { // the kernel adds the checksum of ICMPv6
			b[2], b[3] = 0, 0
			sum := 0
			for i := 0; i < len(b); i += 2 {
				sum += int(binary.BigEndian.Uint16(b[i:]))
			}
			for sum > 0xffff {
				sum = sum>>16 + sum&0xffff
			}
			binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
		}
		if _, err := to.Write(b); errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return
		}
		time.Sleep(writeInterval)
	}
}
