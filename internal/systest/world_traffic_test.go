package systest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// traffic is a stream each way between box and peer.
type traffic struct {
	t       testing.TB
	w       *world
	room    queueDrops   // at the beginning
	out, in *lab.Running // out: box → peer
}

// traffic starts a stream each way; from s come flows, rate and size. It ends with the test at the latest.
func (w *world) traffic(s lab.Stream) *traffic {
	w.t.Helper()
	var err error
	s.Witness, err = lab.StartWitness()
	labtest.Must(w.t, err)
	w.t.Cleanup(func() { labtest.Check(w.t, s.Witness.Close()) })
	tr := &traffic{t: w.t, w: w, room: w.queueDrops()}
	s.From, s.To, s.Address = w.box, w.peer, peer4
	tr.out = labtest.Start(w.t, s)
	s.From, s.To, s.Address = w.peer, w.box, box4
	tr.in = labtest.Start(w.t, s)
	tr.awaitFrames(200)
	return tr
}

// awaitFrames waits until so many more frames have arrived each way.
func (tr *traffic) awaitFrames(frames uint64) {
	tr.t.Helper()
	for name, r := range map[string]*lab.Running{"box to peer": tr.out, "peer to box": tr.in} {
		want := r.Received() + frames
		labtest.Eventually(tr.t, fmt.Sprintf("%d frames from %s", frames, name), func() bool { return r.Received() >= want })
	}
}

// stop ends both streams and returns what came of them. Frames that queues had no room for are not held against the team.
func (tr *traffic) stop() (out, in lab.Report) {
	tr.t.Helper()
	// Both wait for a while where frames were lost.
	ended := make(chan error, 1)
	go func() {
		var err error
		in, err = tr.in.Stop()
		ended <- err
	}()
	out, err := tr.out.Stop()
	labtest.Must(tr.t, errors.Join(err, <-ended))
	r := tr.w.queueDrops().since(tr.room)
	tr.t.Logf("box → peer: %v", out)
	if n := min(r.adapter+r.nics, out.Lost); n > 0 {
		tr.t.Logf("%d of those lost are not the team's: %d had no room in the adapter's queue, %d in the NICs'", n, r.adapter, r.nics)
		out.Lost -= n
	}
	tr.t.Logf("peer → box: %v", in)
	if n := min(r.ports+r.sockets, in.Lost); n > 0 {
		tr.t.Logf("%d of those lost never reached the team: %d had no room in the switch's NICs, %d in the members' sockets", n, r.ports, r.sockets)
		in.Lost -= n
	}
	return out, in
}

// lossBound is how many frames may be lost or doubled that box received while its active member changed. A
// switch that learns delivers each once, and then it is none. One that floods delivers each by both members, at each
// one's own time: those that wait in one socket and not in the other at that moment are lost or come twice.
func (o worldOptions) lossBound(in lab.Report) uint64 {
	if o.Flooding {
		return in.Sent/20 + stalled(in)
	}
	return stalled(in)
}

// reorderedBound is how many frames may be overtaken where the active member changes: what still waits in the old NIC, or for it,
// when the new one works.
func reorderedBound(r lab.Report) uint64 { return r.Sent/50 + stalled(r) }

// gap is the longest net gap each way since a moment, once frames flow again.
func (tr *traffic) gap(since time.Time) (out, in time.Duration) {
	tr.t.Helper()
	tr.awaitFrames(500)
	now := time.Now()
	o, _ := tr.out.GapWithin(since, now)
	i, _ := tr.in.GapWithin(since, now)
	return o.Net, i.Net
}

// longConnection is an open TCP connection from box to an echo service of peer.
type longConnection struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
	n int
}

// longConnection connects; the connection lives as long as the test.
func (w *world) longConnection() *longConnection {
	w.t.Helper()
	l, err := w.peer.Listen("tcp", net.JoinHostPort(peer4.String(), "0"))
	labtest.Must(w.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		// Also when nobody carries the other end's farewell any more.
		defer context.AfterFunc(w.t.Context(), func() { c.Close() })()
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	c, err := w.box.Dial(w.t.Context(), "tcp", l.Addr().String())
	labtest.Must(w.t, err)
	w.t.Cleanup(func() { l.Close(); c.Close(); <-done })
	k := &longConnection{t: w.t, c: c, r: bufio.NewReader(c)}
	k.check("at first")
	return k
}

// check exchanges a line by the connection.
func (k *longConnection) check(when string) {
	k.t.Helper()
	k.n++
	line := fmt.Sprintf("line %d\n", k.n)
	labtest.Must(k.t, k.c.SetDeadline(time.Now().Add(labtest.Patience)))
	_, err := io.WriteString(k.c, line)
	if err == nil {
		var got string
		if got, err = k.r.ReadString('\n'); err == nil && got != line {
			err = fmt.Errorf("got %q, want %q", strings.TrimSpace(got), strings.TrimSpace(line))
		}
	}
	if err != nil {
		k.t.Fatalf("open connection %s: %v", when, err)
	}
}

// identity is what must not change while a team lives: ifindex, MAC and addresses of the adapter.
func (w *world) identity() string {
	w.t.Helper()
	a := link(w.t, w.box, teamName)
	return fmt.Sprint(a.Index, a.HardwareAddr, w.status().Adapter.Addresses)
}
