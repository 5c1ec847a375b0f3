package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/team"
)

// The demo's network. The switch knows nothing of a team:
//
//	box  eth1 ─┐          ┌─ eth0  nas
//	     eth2 ─┤          │
//	     eth3 ─┼─ switch ─┼─ eth0  desk
//	    (eth4)─┘          │
//	     a spare          └─ eth0  laptop
const (
	demoBox  = "10.9.0.1"
	demoTeam = "team0"
	demoLine = 200_000_000 // bit/s of each NIC of box
	demoFile = 140 << 20   // octets
	demoPace = 15 << 20    // octets a second of the file: a stream on the same NIC must find room
	demoRate = 2000        // frames/s of each stream
)

// demoPeers are the hosts that box talks to.
var demoPeers = []struct{ name, address string }{{"nas", "10.9.0.2"}, {"desk", "10.9.0.3"}, {"laptop", "10.9.0.4"}}

// DemoOptions are what the demo does besides; the zero value is nothing.
type DemoOptions struct {
	View    View   // has the terminal while there is traffic
	Picture string // an absolute path: where the traffic is saved as a picture
}

// Demo makes a team on simulated NICs in private namespaces, sends traffic through it both ways while cables are
// pulled and NICs come and go, and prints what happens; with a view that shows it, and the story is printed when that is left. It returns the
// exit code of the demo's own process; in that process itself done is false and err says how it went.
func Demo(ctx context.Context, w io.Writer, o DemoOptions) (code int, done bool, err error) {
	if code, done, err = lab.Isolate(); done || err != nil {
		return code, true, err
	}
	told := &story{w: w}
	d := &demo{w: told, told: told, view: o.View, picture: o.Picture, begin: time.Now()}
	err = d.run(ctx)
	for i := len(d.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo[i]())
	}
	return 0, false, err
}

type demo struct {
	w     io.Writer // told
	told  *story
	view  View // nil for none
	begin time.Time
	undo  []func() error

	picture string // where to save the traffic, "" nowhere

	box     *lab.Host
	peers   []*lab.Host // of demoPeers
	wires   map[string]*lab.Wire
	client  *control.Client
	latest  *team.RatesDocument
	pulled  string // the NIC whose cable is out
	arrived bool   // the file
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.w, "%5.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) run(ctx context.Context) error {
	if err := d.cable(); err != nil {
		return err
	}
	before, err := lab.SettledSnapshot(ctx, d.box)
	if err != nil {
		return err
	}
	d.say("four hosts on a plain switch: box has eth1, eth2, eth3 and a spare eth4, 200 Mbit/s each, and the address %s", demoBox)
	if err := d.nicteam("create", demoTeam, "eth1", "eth2", "eth3"); err != nil {
		return err
	}
	d.client = control.NewClient(d.box.Path("/run/nicteam"), demoTeam)
	defer d.client.Close()
	if err := d.traffic(ctx); err != nil {
		return err
	}
	if d.picture != "" {
		if err := d.nicteam("export", demoTeam, "--last", "15s", "-o", d.picture); err != nil {
			return err
		}
	}
	if err := d.nicteam("delete", demoTeam); err != nil {
		return err
	}
	after, err := lab.SettledSnapshot(ctx, d.box)
	if err != nil {
		return err
	}
	if diff := lab.Diff(before, after); diff != "" {
		return fmt.Errorf("box is not as it was before create:\n%s", diff)
	}
	d.say("box is as it was before create: addresses, routes, rules, neighbours, links, sysctls, filters")
	return nil
}

// cable makes the network.
func (d *demo) cable() (err error) {
	if d.box, err = lab.NewHost("box"); err != nil {
		return err
	}
	d.undo = append(d.undo, d.box.Close)
	sw, err := lab.NewSwitch("switch", lab.SwitchOptions{})
	if err != nil {
		return err
	}
	d.undo = append(d.undo, sw.Close)
	d.wires = map[string]*lab.Wire{}
	for _, nic := range []string{"eth1", "eth2", "eth3", "eth4"} {
		wire, err := lab.NewWire(d.box, nic, sw, "p"+nic[3:], lab.WireOptions{SpeedMbit: 200})
		if err != nil {
			return err
		}
		d.undo = append(d.undo, wire.Close)
		if err := wire.Shape(demoLine); err != nil {
			return err
		}
		d.wires[nic] = wire
	}
	for _, p := range demoPeers {
		host, err := lab.NewHost(p.name)
		if err != nil {
			return err
		}
		d.undo = append(d.undo, host.Close)
		cable, err := lab.NewCable(host, "eth0", sw, p.name, lab.CableOptions{})
		if err != nil {
			return err
		}
		d.undo = append(d.undo, cable.Close)
		if err := host.SetAddr("eth0", p.address+"/24"); err != nil {
			return err
		}
		d.peers = append(d.peers, host)
	}
	return d.box.SetAddr("eth1", demoBox+"/24", "fd09::1/64")
}

// nicteam runs the program in box as a user would.
func (d *demo) nicteam(args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.w, "\n         $ nicteam %s\n", strings.Join(args, " "))
	out, err := d.box.Command(exe, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Fprintf(d.w, "         %s\n", strings.TrimRight(line, "\n"))
	}
	fmt.Fprintln(d.w)
	if err != nil {
		return fmt.Errorf("nicteam %s: %w", args[0], err)
	}
	return nil
}

// traffic sends streams both ways and a file into box while the members change.
func (d *demo) traffic(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams, err := d.streams()
	if err != nil {
		return err
	}
	files, err := lab.ServeFiles(d.peers[0], demoPeers[0].address)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	d.say("%d frames/s in 4 flows to and from each host, and a file of %d MiB from %s to box", demoRate, demoFile>>20, demoPeers[0].name)

	fetched := make(chan string, 1)
	var fetchErr error
	go func() {
		var sha string
		sha, _, fetchErr = files.Fetch(ctx, d.box, 1, demoFile, pace(ctx))
		fetched <- sha
	}()
	rates := make(chan *team.RatesDocument)
	go func() {
		defer close(rates)
		_ = d.client.Rates(ctx, time.Second, func(r *team.RatesDocument) error {
			select {
			case rates <- r:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	go d.events(ctx)

	script := []func() error{
		1: func() error { return d.nicteam("peers", demoTeam) },
		2: d.pull,
		4: d.mend,
		6: d.join,
		8: func() error { return d.nicteam("remove", demoTeam, "eth4") },
	}
	sha := ""
	viewed := d.open(ctx)
	defer func() { // the terminal is the view's until it ends
		if viewed != nil {
			cancel()
			<-viewed
		}
	}()
	for tick := 0; sha == "" || tick < len(script) || viewed != nil || d.pulled != ""; {
		select {
		case err := <-viewed:
			viewed = nil
			if err != nil {
				return err
			}
		case sha = <-fetched:
			if fetchErr != nil {
				return fmt.Errorf("the file did not arrive: %w", fetchErr)
			}
			d.arrived = true
			d.say("the file has arrived")
		case r, ok := <-rates:
			if !ok {
				return errors.New("the team no longer tells its rates")
			}
			d.latest = r
			if viewed == nil {
				d.say("%s", figures(r))
			}
			next := func() error { return nil }
			switch again := tick - len(script); {
			case again < 0 && script[tick] != nil:
				next = script[tick]
			case again >= 0 && d.pulled != "" && again%10 == 4:
				next = d.mend
			case again >= 0 && d.pulled == "" && again%10 == 0 && viewed != nil:
				next = d.pull
			}
			if err := next(); err != nil {
				return err
			}
			tick++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return d.judge(streams, sha, files.SHA256(1, demoFile))
}

// stream is traffic in one direction.
type stream struct {
	name    string
	running *lab.Running
}

// streams starts streams from and to every host.
func (d *demo) streams() (list []stream, err error) {
	for i, p := range demoPeers {
		out := lab.Stream{From: d.box, To: d.peers[i], Address: netip.MustParseAddr(p.address), Flows: 4, Rate: demoRate, Size: 1000}
		in := lab.Stream{From: d.peers[i], To: d.box, Address: netip.MustParseAddr(demoBox), Flows: 4, Rate: demoRate, Size: 1000}
		for _, s := range []struct {
			name string
			lab.Stream
		}{{"box → " + p.name, out}, {p.name + " → box", in}} {
			running, err := s.Start()
			if err != nil {
				return list, err
			}
			list = append(list, stream{s.name, running})
		}
	}
	return list, nil
}

// pace slows a reader to demoPace.
func pace(ctx context.Context) func(octets int64) {
	begin := time.Now()
	return func(octets int64) {
		due := begin.Add(time.Duration(octets) * time.Second / demoPace)
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
		}
	}
}

// pull takes the cable out of the NIC that the file comes by, which is the busiest.
func (d *demo) pull() error {
	busiest := d.latest.Members[0]
	for _, m := range d.latest.Members {
		if m.RX.Bytes > busiest.RX.Bytes {
			busiest = m
		}
	}
	what := "the one that the file comes by"
	if d.arrived {
		what = "the busiest"
	}
	d.say("── the cable of %s is pulled, %s ──", busiest.Name, what)
	d.pulled = busiest.Name
	return d.wires[d.pulled].Cut()
}

func (d *demo) mend() error {
	d.say("── the cable of %s is put back ──", d.pulled)
	nic := d.pulled
	d.pulled = ""
	return d.wires[nic].Mend()
}

func (d *demo) join() error { return d.nicteam("add", demoTeam, "eth4") }

// events prints what the team says of itself.
func (d *demo) events(ctx context.Context) {
	begin := time.Now()
	_ = d.client.Events(ctx, true, func(e *team.Event) error {
		if e.Time.Before(begin) || !strings.HasPrefix(e.Event, "member-") {
			return nil
		}
		text := e.Event + " " + e.Member
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		if e.Took > 0 {
			text += fmt.Sprintf(", flows moved in %.2f ms", float64(e.Took)/1e6)
		}
		d.say("%s", text)
		return nil
	})
}

// judge ends the streams and says whether all is well.
func (d *demo) judge(streams []stream, sha, want string) error {
	var wrong error
	for _, s := range streams {
		r, err := s.running.Stop()
		if err != nil {
			return err
		}
		d.say("%s: %v", s.name, r)
		if r.Duplicated > 0 || r.Corrupt > 0 || r.Lost > r.Sent/100 {
			wrong = fmt.Errorf("more went wrong than a pulled cable explains: %s: %v", s.name, r)
		}
	}
	if sha != want {
		return fmt.Errorf("the file's SHA-256 is %s, it should be %s", sha, want)
	}
	d.say("SHA-256 of the file, sent and received: %s", sha)
	return wrong
}

// figures is a line of Mbit/s, a NIC each and their sum.
func figures(r *team.RatesDocument) string {
	mbps := func(c team.Count) float64 { return float64(c.Bytes) * 8e3 / float64(r.Interval) }
	var in, out strings.Builder
	for _, m := range r.Members {
		fmt.Fprintf(&in, "%s %3.0f  ", m.Name, mbps(m.RX))
		fmt.Fprintf(&out, "%s %3.0f  ", m.Name, mbps(m.TX))
	}
	return fmt.Sprintf("Mbit/s  in  %s= %3.0f   out  %s= %3.0f", in.String(), mbps(r.RX), out.String(), mbps(r.TX))
}
