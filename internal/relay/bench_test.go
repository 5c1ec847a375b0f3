// SPDX-License-Identifier: MIT

package relay

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// spreads are what is compared: one address and a table of slots, against an address a member and virtual queues.
var spreads = []struct {
	name string
	plan func(g *rig) *spread.Plan
}{
	{"xor", func(g *rig) *spread.Plan {
		pl := g.plan(spread.RuleSlots)
		pl.Slots = &spread.SlotTable{Members: make([]uint8, spread.SlotCount)}
		for i := range pl.Slots.Members {
			pl.Slots.Members[i] = uint8(i % len(g.links))
		}
		return pl
	}},
	{"elb", func(g *rig) *spread.Plan {
		pl := g.shortest()
		for i := range pl.Shortest.Rates {
			pl.Shortest.Rates[i] = 10_000_000_000
		}
		return pl
	}},
}

// cpu is what the process has taken of processors.
func cpu() int64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// measure runs f for each of the benchmark's frames and tells what one takes of a processor.
func measure(b *testing.B, frames int, f func()) {
	b.Helper()
	began := cpu()
	b.ResetTimer()
	for i := 0; i < b.N; i += frames {
		f()
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-began)/float64(b.N), "cpu-ns/op")
}

// BenchmarkTransmit is what a small frame takes from the batch's beginning to the far end of a veth pair, 64 flows
// in a batch.
func BenchmarkTransmit(b *testing.B) {
	for _, s := range spreads {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 4)
			g.apply(s.plan(g))
			host := g.port(g.host, "team0", func(*frame.Headers) bool { return false })
			labtest.Must(b, g.relay.tx.end()) // the benchmark is the transmitter
			tx := g.relay.tx
			for i := range nic.Batch {
				host.socket.Queue(datagram(peerMAC, adapterMAC, i, 0, 18))
			}
			host.socket.Flush()
			tx.n = 0
			for tx.n < nic.Batch {
				if err := tx.read(); err != nil && err != unix.EAGAIN {
					b.Fatal(err)
				}
			}
			measure(b, nic.Batch, func() {
				for i := range tx.n {
					adapterMAC.Put(tx.frame(i), sourceAt) // as it came
				}
				tx.at = 0
				tx.batch()
			})
			labtest.Must(b, tx.start())
		})
	}
}

// BenchmarkReceive is what a small frame takes from a peer's end of a veth pair to the adapter.
func BenchmarkReceive(b *testing.B) {
	for _, s := range spreads {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 2)
			g.apply(s.plan(g))
			labtest.Must(b, g.relay.Leave(1))
			peer, sock := g.socket(g.peer, "p1"), g.socket(g.host, "m1")
			m := newMember(g.relay, 1, sock)
			frames := make([][]byte, nic.ReceiveBatch)
			for i := range frames {
				frames[i] = append(make([]byte, frame.VnetLen), testFrame(memberMAC(1), peerMAC, i)...)
			}
			measure(b, len(frames), func() {
				for _, f := range frames {
					peer.Queue(f)
				}
				peer.Flush()
				for got := 0; got < len(frames); {
					var err error
					if m.n, err = sock.Receive(); err != nil {
						b.Fatal(err)
					}
					got += m.n
					m.at = 0
					m.batch()
				}
			})
		})
	}
}

// BenchmarkTCP is a MiB over one of eight connections from the host to the peer, which is a switch with an address.
func BenchmarkTCP(b *testing.B) {
	for _, s := range spreads {
		b.Run(s.name, func(b *testing.B) {
			g := newRig(b, 2)
			g.apply(s.plan(g))
			g.bridge()
			g.answer()
			l, err := g.peer.Listen("tcp", "10.9.0.2:0")
			labtest.Must(b, err)
			defer l.Close()
			const flows, size = 8, 1 << 20
			var all sync.WaitGroup
			all.Go(func() {
				for range flows {
					c, err := l.Accept()
					if err != nil {
						b.Error(err)
						return
					}
					all.Go(func() {
						buf := make([]byte, size)
						for {
							if _, err := c.Read(buf); err != nil {
								c.Close()
								return
							}
						}
					})
				}
			})
			var conns []net.Conn
			for range flows {
				c, err := g.host.Dial(b.Context(), "tcp", l.Addr().String())
				labtest.Must(b, err)
				conns = append(conns, c)
			}
			b.SetBytes(size)
			began := cpu()
			b.ResetTimer()
			for i, c := range conns {
				all.Go(func() {
					buf := make([]byte, size)
					for n := i; n < b.N; n += flows {
						if _, err := c.Write(buf); err != nil {
							b.Error(err)
							break
						}
					}
					c.Close()
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
