// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
)

// testType is IEEE's first ethertype for local experiments: no stack sends it by itself.
const testType = 0x88b5

// port sends and sees frames at a device, tags and virtio headers included.
type port struct {
	g      *rig
	name   string
	socket *nic.Socket
	seen   chan []byte // [virtio header][frame]
}

// port opens a port; accept says which frames it keeps, nil: those of testType.
func (g *rig) port(h *lab.Host, name string, accept func(h *frame.Headers) bool) *port {
	g.Helper()
	if accept == nil {
		accept = func(h *frame.Headers) bool { return h.EtherType == testType }
	}
	l, err := h.Handle().LinkByName(name)
	labtest.Must(g, err)
	p := &port{g: g, name: name, seen: make(chan []byte, 1<<16)}
	labtest.Must(g, h.Do(func() (err error) {
		p.socket, err = nic.Open(nic.Options{Name: name, Index: l.Attrs().Index,
			MAC: frame.MACFrom(l.Attrs().HardwareAddr), Backlog: 8 << 20})
		return err
	}))
	done := make(chan struct{})
	g.Cleanup(func() { p.socket.Close(); <-done })
	go func() {
		defer close(done)
		for {
			n, err := p.socket.Receive()
			if errors.Is(err, nic.ErrClosed) || errors.Is(err, nic.ErrGone) {
				return
			}
			for i := range n {
				var hd frame.Headers
				if b := p.socket.Frame(i); b != nil && frame.Parse(b[frame.VnetLen:], &hd) && accept(&hd) {
					select {
					case p.seen <- bytes.Clone(b):
					default: // a flood that nobody looks at
					}
				}
			}
		}
	}()
	return p
}

// teamPort is the adapter seen from the host: what it sends is transmitted, what it sees was received.
func (g *rig) teamPort() *port { return g.port(g.host, "team0", nil) }

// peerPort is the far end of member id.
func (g *rig) peerPort(id int) *port { return g.port(g.peer, "p"+string(rune('0'+id)), nil) }

func (p *port) send(b []byte) {
	p.g.Helper()
	labtest.Must(p.g, p.socket.SendControl(b))
}

// next is the next frame seen, without virtio header.
func (p *port) next() []byte {
	p.g.Helper()
	return p.nextWhole()[frame.VnetLen:]
}

// nextWhole is the next frame seen, with its virtio header.
func (p *port) nextWhole() []byte {
	p.g.Helper()
	select {
	case b := <-p.seen:
		return b
	case <-time.After(labtest.Patience):
		p.g.Fatalf("%s saw no frame", p.name)
		return nil
	}
}

// expect wants b to be the next frame.
func (p *port) expect(b []byte) {
	p.g.Helper()
	if got := p.next(); !bytes.Equal(got, b) {
		p.g.Errorf("%s saw\n%x, want\n%x", p.name, got, b)
	}
}

// empty wants that no frame has been seen that was not asked for.
func (p *port) empty() {
	p.g.Helper()
	select {
	case b := <-p.seen:
		p.g.Errorf("%s saw %x", p.name, b[frame.VnetLen:])
	default:
	}
}

// testFrame is a frame of 60 octets with a number.
func testFrame(dst, src frame.MAC, n int) []byte {
	b := make([]byte, 60)
	dst.Put(b, 0)
	src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], testType)
	binary.BigEndian.PutUint32(b[14:], uint32(n))
	return b
}

func number(b []byte) int { return int(binary.BigEndian.Uint32(b[14:])) }

// tagged puts tags (TPID, TCI) into b.
func tagged(b []byte, tags ...uint16) []byte {
	out := bytes.Clone(b[:12])
	for _, t := range tags {
		out = binary.BigEndian.AppendUint16(out, t)
	}
	return append(out, b[12:]...)
}
