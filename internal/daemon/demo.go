package daemon

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

// The demo's network. A switch knows the ports of box as one static LAG:
//
//	box  eth1 ─┐
//	     eth2 ─┤ LAG ── switch ── eth0  peer
//	     eth3 ─┤
//	    (eth4)─┘ no cable at first
const (
	demoBox, demoPeer = "10.9.0.1", "10.9.0.2"
	demoTeam          = "team0"
	demoLine          = 200_000_000 // bit/s of each NIC of box
	demoFile          = 140 << 20   // octets
	demoPace          = 15 << 20    // octets a second of the file: a stream on the same NIC must find room
)

// Demo makes a team on simulated NICs in private namespaces, sends traffic through it both ways while cables are
// pulled and NICs come and go, and prints what happens. It returns the exit code of the demo's own process; in that process itself done is
// false and err says how it went.
func Demo(ctx context.Context, w io.Writer) (code int, done bool, err error) {
	if code, done, err = lab.Isolate(); done || err != nil {
		return code, true, err
	}
	d := &demo{w: w, begin: time.Now()}
	err = d.run(ctx)
	for i := len(d.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo[i]())
	}
	return 0, false, err
}

type demo struct {
	w     io.Writer
	begin time.Time
	undo  []func() error

	box, peer *lab.Host
	wires     map[string]*lab.Wire
	client    *control.Client
	latest    *team.RatesDocument
	pulled    string // the NIC whose cable is out
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
	d.say("two hosts on a switch: box has eth1, eth2, eth3 and a spare eth4, 200 Mbit/s each, and the address %s", demoBox)
	if err := d.nicteam("create", demoTeam, "eth1", "eth2", "eth3", "--mode", "xor"); err != nil {
		return err
	}
	d.client = control.NewClient(d.box.Path("/run/nicteam"), demoTeam)
	defer d.client.Close()
	if err := d.traffic(ctx); err != nil {
		return err
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
	if d.peer, err = lab.NewHost("peer"); err != nil {
		return err
	}
	d.undo = append(d.undo, d.peer.Close)
	sw, err := lab.NewSwitch("switch", lab.SwitchOptions{})
	if err != nil {
		return err
	}
	d.undo = append(d.undo, sw.Close)
	d.wires = map[string]*lab.Wire{}
	var ports []string
	for _, nic := range []string{"eth1", "eth2", "eth3", "eth4"} {
		port := "p" + nic[3:]
		wire, err := lab.NewWire(d.box, nic, sw, port, lab.WireOptions{SpeedMbit: 200})
		if err != nil {
			return err
		}
		d.undo = append(d.undo, wire.Close)
		if err := wire.Shape(demoLine); err != nil {
			return err
		}
		d.wires[nic] = wire
		ports = append(ports, port)
	}
	up, err := lab.NewCable(d.peer, "eth0", sw, "uplink", lab.CableOptions{})
	if err != nil {
		return err
	}
	d.undo = append(d.undo, up.Close)
	if _, err := sw.LAG("lag", lab.SpreadFlow, ports...); err != nil {
		return err
	}
	// The switch sends by every port of the group that has a link, so the spare has no cable yet.
	return errors.Join(d.wires["eth4"].Cut(), d.box.SetAddr("eth1", demoBox+"/24", "fd09::1/64"), d.peer.SetAddr("eth0", demoPeer+"/24", "fd09::2/64"))
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
	boxAddr, peerAddr := netip.MustParseAddr(demoBox), netip.MustParseAddr(demoPeer)
	out, err := lab.Stream{From: d.box, To: d.peer, Address: peerAddr, Flows: 12, Rate: 5000, Size: 1000}.Start()
	if err != nil {
		return err
	}
	in, err := lab.Stream{From: d.peer, To: d.box, Address: boxAddr, Flows: 12, Rate: 5000, Size: 1000}.Start()
	if err != nil {
		return err
	}
	files, err := lab.ServeFiles(d.peer, demoPeer)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	d.say("5000 frames/s in 12 flows each way, and a file of %d MiB from peer to box", demoFile>>20)

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
		2: d.pull,
		4: d.mend,
		6: d.join,
		8: d.leave,
	}
	sha := ""
	for tick := 0; sha == "" || tick < len(script); {
		select {
		case sha = <-fetched:
			if fetchErr != nil {
				return fmt.Errorf("the file did not arrive: %w", fetchErr)
			}
			d.say("the file has arrived")
		case r, ok := <-rates:
			if !ok {
				return errors.New("the team no longer tells its rates")
			}
			d.latest = r
			d.say("%s", figures(r))
			if tick < len(script) && script[tick] != nil {
				if err := script[tick](); err != nil {
					return err
				}
			}
			tick++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return d.judge(out, in, sha, files.SHA256(1, demoFile))
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

// pull takes the cable out of the NIC that the file comes by.
func (d *demo) pull() error {
	busiest := d.latest.Members[0]
	for _, m := range d.latest.Members {
		if m.RX.Bytes > busiest.RX.Bytes {
			busiest = m
		}
	}
	d.say("── the cable of %s is pulled, the one that the file comes by ──", busiest.Name)
	d.pulled = busiest.Name
	return d.wires[d.pulled].Cut()
}

func (d *demo) mend() error {
	d.say("── the cable of %s is put back ──", d.pulled)
	return d.wires[d.pulled].Mend()
}

// join takes the spare into the team and plugs its cable in.
func (d *demo) join() error {
	if err := d.nicteam("add", demoTeam, "eth4"); err != nil {
		return err
	}
	return d.wires["eth4"].Mend()
}

// leave is how a NIC leaves a group that the switch knows without a loss: the cable first.
func (d *demo) leave() error {
	if err := d.wires["eth4"].Cut(); err != nil {
		return err
	}
	return d.nicteam("remove", demoTeam, "eth4")
}

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
func (d *demo) judge(out, in *lab.Running, sha, want string) error {
	reportOut, err := out.Stop()
	if err != nil {
		return err
	}
	reportIn, err := in.Stop()
	if err != nil {
		return err
	}
	d.say("box → peer: %v", reportOut)
	d.say("peer → box: %v", reportIn)
	if sha != want {
		return fmt.Errorf("the file's SHA-256 is %s, it should be %s", sha, want)
	}
	d.say("SHA-256 of the file, sent and received: %s", sha)
	for _, r := range []lab.Report{reportOut, reportIn} {
		if r.Duplicated > 0 || r.Corrupt > 0 || r.Lost > r.Sent/100 {
			return fmt.Errorf("more went wrong than a pulled cable explains: %v", r)
		}
	}
	return nil
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
