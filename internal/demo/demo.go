// SPDX-License-Identifier: MIT

// Package demo shows a team at work: simulated NICs in private namespaces, traffic both ways, a pulled cable.
// It runs the nicteam binary as a user would, and is the only package of the product that imports the lab.
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

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
)

// The network. The switch is not configured for a team:
//
//	box  eth1 ─┐          ┌─ eth0  nas
//	     eth2 ─┤          │
//	     eth3 ─┼─ switch ─┼─ eth0  desk
//	    (eth4)─┘          │
//	     spare            └─ eth0  laptop
const (
	boxAddress = "10.9.0.1"
	teamName   = "team0"
	lineRate   = 200_000_000 // bit/s of each NIC of box
	fileSize   = 140 << 20   // bytes
	fetchRate  = 15 << 20    // bytes/s of the file: leaves room for a stream on the same NIC
	streamRate = 2000        // frames/s of each stream
)

// peerHosts are the hosts that box exchanges traffic with.
var peerHosts = []struct{ name, address string }{{"nas", "10.9.0.2"}, {"desk", "10.9.0.3"}, {"laptop", "10.9.0.4"}}

// Options of a demo; the zero value shows nothing but text.
type Options struct {
	View    View   // has the terminal while there is traffic
	Picture string // absolute path to which the traffic is exported as a picture
}

// Run makes a team of simulated NICs, pulls and plugs a cable, lets a NIC lose its frames while its link stays up, adds
// and removes a NIC under traffic, and prints what happens, after the view has ended if there is one.
//
// Run starts this program again in private namespaces and returns that process's exit code and true. In that process it
// returns false and the error of the demo.
func Run(ctx context.Context, w io.Writer, o Options) (code int, done bool, err error) {
	if code, done, err = lab.Isolate(); done || err != nil {
		return code, true, err
	}
	d := &demo{out: &pausableWriter{w: w}, view: o.View, picture: o.Picture, begin: time.Now()}
	err = d.run(ctx)
	for i := len(d.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo[i]())
	}
	return 0, false, err
}

type demo struct {
	out     *pausableWriter
	view    View   // nil: none
	picture string // "": none
	begin   time.Time
	undo    []func() error

	box     *lab.Host
	peers   []*lab.Host // of peerHosts
	wires   map[string]*lab.Wire
	client  *control.Client
	latest  *api.Rates
	pulled  string // NIC whose cable is out
	silent  string // NIC whose frames get lost
	fetched bool   // the file
}

func (d *demo) printf(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) run(ctx context.Context) error {
	if err := d.buildNetwork(); err != nil {
		return err
	}
	before, err := lab.SettledSnapshot(ctx, d.box)
	if err != nil {
		return err
	}
	d.printf("four hosts on a plain switch: box has eth1, eth2, eth3 and a spare eth4, 200 Mbit/s each, and "+
		"the address %s", boxAddress)
	if err := d.createOverSSH(ctx, before); err != nil {
		return err
	}
	d.client = control.NewClient(d.box.Path("/run/nicteam"), teamName)
	defer d.client.Close()
	if err := d.runTraffic(ctx); err != nil {
		return err
	}
	if d.picture != "" {
		if err := d.nicteam("export", teamName, "--last", "15s", "-o", d.picture); err != nil {
			return err
		}
	}
	if err := d.nicteam("delete", teamName); err != nil {
		return err
	}
	after, err := lab.SettledSnapshot(ctx, d.box)
	if err != nil {
		return err
	}
	if diff := lab.Diff(before, after); diff != "" {
		return fmt.Errorf("box is not as it was before create:\n%s", diff)
	}
	d.printf("box is as it was before create: addresses, routes, rules, neighbours, links, sysctls, filters")
	return nil
}

// buildNetwork makes the hosts, the switch and the NICs.
func (d *demo) buildNetwork() (err error) {
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
		if err := wire.Shape(lineRate); err != nil {
			return err
		}
		d.wires[nic] = wire
	}
	for _, p := range peerHosts {
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
	return d.box.SetAddr("eth1", boxAddress+"/24", "fd09::1/64")
}

// nicteam runs the binary in box and prints the command and its output.
func (d *demo) nicteam(args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n         $ nicteam %s\n", strings.Join(args, " "))
	out, err := d.box.Command(exe, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Fprintf(d.out, "         %s\n", strings.TrimRight(line, "\n"))
	}
	fmt.Fprintln(d.out)
	if err != nil {
		return fmt.Errorf("nicteam %s: %w", args[0], err)
	}
	return nil
}

// runTraffic runs streams both ways and fetches a file into box while members change. It ends when the file has
// arrived, the script is through and the view has ended.
func (d *demo) runTraffic(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams, err := d.startStreams()
	if err != nil {
		return err
	}
	files, err := lab.ServeFiles(d.peers[0], peerHosts[0].address)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	d.printf("%d frames/s in 4 flows to and from each host, and a file of %d MiB from %s to box", streamRate,
		fileSize>>20, peerHosts[0].name)

	fetched := make(chan string, 1)
	var fetchErr error
	go func() {
		var sha string
		sha, _, fetchErr = files.Fetch(ctx, d.box, 1, fileSize, limitFetch(ctx))
		fetched <- sha
	}()
	rates := make(chan *api.Rates)
	go func() {
		defer close(rates)
		_ = d.client.Rates(ctx, time.Second, func(r *api.Rates) error {
			select {
			case rates <- r:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	go d.printEvents(ctx)

	script := []func() error{
		1:  func() error { return d.nicteam("peers", teamName) },
		2:  d.pullCable,
		4:  d.plugCable,
		6:  d.silence,
		8:  d.endSilence,
		9:  d.addSpare,
		11: func() error { return d.nicteam("remove", teamName, "eth4") },
	}
	sha := ""
	viewed := d.startView(ctx)
	defer func() { // the view has the terminal until it ends
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
			d.fetched = true
			d.printf("the file has arrived")
		case r, ok := <-rates:
			if !ok {
				return errors.New("the stream of rates ended")
			}
			d.latest = r
			if viewed == nil {
				d.printf("%s", ratesLine(r))
			}
			next := func() error { return nil }
			switch extra := tick - len(script); {
			case extra < 0 && script[tick] != nil:
				next = script[tick]
			case extra >= 0 && d.pulled != "" && extra%10 == 4:
				next = d.plugCable
			case extra >= 0 && d.pulled == "" && extra%10 == 0 && viewed != nil:
				next = d.pullCable
			}
			if err := next(); err != nil {
				return err
			}
			tick++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return d.checkTraffic(streams, sha, files.SHA256(1, fileSize))
}

// stream is traffic in one direction.
type stream struct {
	name    string
	running *lab.Running
}

// startStreams starts streams from and to every host.
func (d *demo) startStreams() (list []stream, err error) {
	for i, p := range peerHosts {
		out := lab.Stream{From: d.box, To: d.peers[i], Address: netip.MustParseAddr(p.address), Flows: 4,
			Rate: streamRate, Size: 1000}
		in := lab.Stream{From: d.peers[i], To: d.box, Address: netip.MustParseAddr(boxAddress), Flows: 4,
			Rate: streamRate, Size: 1000}
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

// limitFetch returns a progress function that slows a reader to fetchRate.
func limitFetch(ctx context.Context) func(received int64) {
	begin := time.Now()
	return func(received int64) {
		due := begin.Add(time.Duration(received) * time.Second / fetchRate)
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
		}
	}
}

// busiest is the NIC that receives most.
func (d *demo) busiest() string {
	busiest := d.latest.Members[0]
	for _, m := range d.latest.Members {
		if m.RX.Bytes > busiest.RX.Bytes {
			busiest = m
		}
	}
	return busiest.Name
}

// pullCable pulls the cable of the busiest NIC, which receives the file.
func (d *demo) pullCable() error {
	busiest := d.busiest()
	what := "the one that the file comes by"
	if d.fetched {
		what = "the busiest"
	}
	d.printf("── the cable of %s is pulled, %s ──", busiest, what)
	d.pulled = busiest
	return d.wires[d.pulled].Cut()
}

func (d *demo) plugCable() error {
	d.printf("── the cable of %s is put back ──", d.pulled)
	nic := d.pulled
	d.pulled = ""
	return d.wires[nic].Mend()
}

// silence lets the busiest NIC lose every frame in both directions. Its link stays up.
func (d *demo) silence() error {
	d.silent = d.busiest()
	d.printf("── %s loses every frame, its light stays on ──", d.silent)
	d.swallow(true)
	return nil
}

func (d *demo) endSilence() error {
	d.printf("── %s carries frames again ──", d.silent)
	d.swallow(false)
	return nil
}

func (d *demo) swallow(on bool) {
	d.wires[d.silent].A.SwallowTx(on)
	d.wires[d.silent].A.SwallowRx(on)
}

func (d *demo) addSpare() error { return d.nicteam("add", teamName, "eth4") }

// printEvents prints the events of the members.
func (d *demo) printEvents(ctx context.Context) {
	begin := time.Now()
	_ = d.client.Events(ctx, true, func(e *api.Event) error {
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
		d.printf("%s", text)
		return nil
	})
}

// checkTraffic stops the streams, prints their results and returns an error unless losses are small and the file is
// intact.
func (d *demo) checkTraffic(streams []stream, sha, want string) error {
	var wrong error
	for _, s := range streams {
		r, err := s.running.Stop()
		if err != nil {
			return err
		}
		d.printf("%s: %v", s.name, r)
		if r.Duplicated > 0 || r.Corrupt > 0 || r.Lost > r.Sent/10 {
			wrong = fmt.Errorf("%s: more loss than a pulled cable and a silent NIC explain: %v", s.name, r)
		}
	}
	if sha != want {
		return fmt.Errorf("SHA-256 of the file is %s, want %s", sha, want)
	}
	d.printf("SHA-256 of the file, sent and received: %s", sha)
	return wrong
}

// ratesLine formats Mbit/s of each NIC and their sum.
func ratesLine(r *api.Rates) string {
	mbps := func(c frame.Count) float64 { return float64(c.Bytes) * 8e3 / float64(r.Interval) }
	var in, out strings.Builder
	for _, m := range r.Members {
		fmt.Fprintf(&in, "%s %3.0f  ", m.Name, mbps(m.RX))
		fmt.Fprintf(&out, "%s %3.0f  ", m.Name, mbps(m.TX))
	}
	return fmt.Sprintf("Mbit/s  in  %s= %3.0f   out  %s= %3.0f", in.String(), mbps(r.RX), out.String(), mbps(r.TX))
}
