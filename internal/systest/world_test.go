// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// Bounds of how many tests run at a time. Those without traffic mostly wait for the kernel or a process; of those with
// traffic there is one a processor; those of LACP and VRRP wait for timers of seconds.
var (
	quietSlots   = make(chan struct{}, 5)
	trafficSlots = make(chan struct{}, 2)
	timerSlots   = make(chan struct{}, 3)
)

func TestMain(m *testing.M) {
	labtest.Parallel(1000) // bounded here: a test that waits for a slot keeps none of package testing from another
	labtest.Main(m)
}

// parallel makes a test without traffic run beside others. A test whose subtests do so calls t.Parallel instead, since
// it would hold its slot while they wait for theirs.
func parallel(t *testing.T) {
	t.Parallel()
	quietSlots <- struct{}{}
	t.Cleanup(func() { <-quietSlots })
}

// parallelWithTraffic is parallel for a test with traffic.
func parallelWithTraffic(t *testing.T) {
	t.Parallel()
	trafficSlots <- struct{}{}
	t.Cleanup(func() { <-trafficSlots })
}

// parallelWithTimers is parallel for a test that waits for timers most of the time, with little traffic or none.
func parallelWithTimers(t *testing.T) {
	t.Parallel()
	timerSlots <- struct{}{}
	t.Cleanup(func() { <-timerSlots })
}

// soak makes tests judge what depends on an otherwise idle machine and is only logged without it: gaps, and the share
// of lost frames. It makes long series longer. See make soak.
var soak = flag.Bool("soak", false, "judge gaps and shares of lost frames, too; longer series")

const teamName = "team0"

// The addresses of box and peer.
var (
	box4, peer4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	box6, peer6 = netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
)

// A world is two hosts on a switch:
//
//	box  eth1 ── p1 ┐
//	     eth2 ── p2 ├ switch ── eth0  peer
//	     …          ┘
//
// eth1 has box's addresses before there is a team. Everything is gone when the test ends.
type world struct {
	t         testing.TB
	box, peer *lab.Host
	sw        *lab.Switch
	wires     map[string]*lab.Wire // by NIC of box
	cables    map[string]*lab.Cable
	lag       *lab.LAG // nil without worldOptions.LAG
	tap       *wireTap // nil before tapWires
	datapath  string   // of worldOptions
	asks      bool     // the same
	env       []string // of commands, besides
}

// worldOptions; the zero value is two TAP NICs on a learning switch.
type worldOptions struct {
	NICs      int          // of box; 2
	Flooding  bool         // the switch never learns (ageing 0)
	LAG       bool         // the ports of box are a static LAG of the switch
	Spread    lab.Spread   // of the LAG
	Cables    bool         // veth instead of TAP NICs
	Rate      uint64       // bit/s of each NIC of box, each way; 0 unshaped
	SpeedMbit uint32       // what ethtool shows; 1000
	NoOffload bool         // TAP NICs without segmentation offload
	NoAddress bool         // eth1 has none
	Hardware  lab.Hardware // of box's TAP NICs
	Datapath  string       // of teams that the test creates; auto
	Asks      bool         // they have the default link watches, which send and count frames; else carrier only
}

func newWorld(t testing.TB, o worldOptions) *world {
	t.Helper()
	labtest.Root(t)
	if o.LAG && !hasTCX(t) {
		t.Skip("needs Linux 6.6 for tcx, of which a static group of the lab's switch is made")
	}
	w := &world{t: t, box: labtest.Host(t, "box"), peer: labtest.Host(t, "peer"),
		wires: map[string]*lab.Wire{}, cables: map[string]*lab.Cable{}, datapath: o.Datapath, asks: o.Asks}
	w.sw = labtest.Switch(t, "switch", lab.SwitchOptions{Flooding: o.Flooding})
	if o.NICs == 0 {
		o.NICs = 2
	}
	// Duplicate address detection takes up to two seconds. Devices made later have it.
	labtest.Must(t, w.box.Sysctl("ipv6/conf/default/accept_dad", "0"))
	var ports []string
	for i := 1; i <= o.NICs; i++ {
		nic, port := fmt.Sprintf("eth%d", i), fmt.Sprintf("p%d", i)
		ports = append(ports, port)
		var line lab.Line
		if o.Cables {
			w.cables[nic] = labtest.Cable(t, w.box, nic, w.sw, port, lab.CableOptions{})
			line = w.cables[nic]
		} else {
			w.wires[nic] = labtest.Wire(t, w.box, nic, w.sw, port,
				lab.WireOptions{SpeedMbit: o.SpeedMbit, NoOffload: o.NoOffload, HardwareA: o.Hardware})
			line = w.wires[nic]
		}
		if o.Rate != 0 {
			labtest.Must(t, line.Shape(o.Rate))
		}
	}
	labtest.Must(t, w.box.Sysctl("ipv6/conf/default/accept_dad", "1"))
	labtest.Cable(t, w.peer, "eth0", w.sw, "uplink", lab.CableOptions{})
	if o.LAG {
		var err error
		w.lag, err = w.sw.LAG("lag", o.Spread, ports...)
		labtest.Must(t, err)
	}
	if !o.NoAddress {
		labtest.Must(t, w.box.SetAddr("eth1", "10.9.0.1/24", "fd09::1/64"))
	}
	labtest.Must(t, w.peer.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
	t.Cleanup(w.showLog)
	return w
}

// showLog prints status and log of the team if the test has failed.
func (w *world) showLog() {
	if !w.t.Failed() {
		return
	}
	if r, err := w.box.Command(program(w.t), "status", teamName, "--json").Output(); err == nil {
		w.t.Logf("status of %s: %s", teamName, r)
	}
	if list, err := w.box.Handle().LinkList(); err == nil {
		for _, l := range list {
			if s := l.Attrs().Statistics; s != nil && s.TxDropped+s.RxDropped > 0 {
				w.t.Logf("%s: %d frames dropped on transmit, %d on receive", l.Attrs().Name, s.TxDropped, s.RxDropped)
			}
		}
	}
	if b, err := os.ReadFile(w.box.Path("/var/lib/nicteam/" + teamName + ".log")); err == nil {
		w.t.Logf("log of %s:\n%s", teamName, b)
	}
}

// buildProgram builds the binary as `make build` does. The file is visible only to this test binary and its hosts, and
// is gone with them.
var buildProgram = sync.OnceValues(func() (string, error) {
	path := "/run/lab/bin/nicteam"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "nicteam/cmd/nicteam")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// program returns the path of the binary.
func program(t testing.TB) string {
	t.Helper()
	labtest.Root(t)
	path, err := buildProgram()
	labtest.Must(t, err)
	return path
}

// result is the output and exit code of a command.
type result struct {
	Out, Err string
	Code     int
}

// run runs the binary in a host with additional environment.
func run(t testing.TB, h *lab.Host, env []string, args ...string) result {
	t.Helper()
	path := program(t) // the first one builds it, which is not the command's time
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := h.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("nicteam %s: %v", strings.Join(args, " "), err)
	}
	if !cmd.ProcessState.Exited() {
		t.Logf("nicteam %s, process %d: %v", strings.Join(args, " "), cmd.Process.Pid, cmd.ProcessState)
	}
	return result{Out: out.String(), Err: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// try runs the binary in box.
func (w *world) try(args ...string) result {
	w.t.Helper()
	var env []string
	if !w.asks {
		env = append(env, "NICTEAM_LINK_WATCH=carrier")
	}
	if w.datapath != "" {
		env = append(env, "NICTEAM_DATAPATH="+w.datapath)
	}
	return run(w.t, w.box, append(env, w.env...), args...)
}

// readOnlyVerbs change nothing. On a busy machine the team's process may not answer in time, so they are repeated.
var readOnlyVerbs = []string{"status", "events", "peers", "explain"}

// noAnswer is the exit code of that.
const noAnswer = 8

// nicteam runs the binary in box and ends the test unless it succeeds.
func (w *world) nicteam(args ...string) string {
	w.t.Helper()
	r := w.try(args...)
	if r.Code == noAnswer && slices.Contains(readOnlyVerbs, args[0]) {
		labtest.Eventually(w.t, "an answer to nicteam "+args[0], func() bool {
			r = w.try(args...)
			return r.Code != noAnswer
		})
	}
	if r.Code != 0 {
		w.t.Fatalf("nicteam %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// create makes a team of NICs, with more arguments.
func (w *world) create(nics []string, more ...string) {
	w.t.Helper()
	w.nicteam(append(append([]string{"create", teamName}, nics...), more...)...)
}

// set changes live settings.
func (w *world) set(settings ...string) {
	w.t.Helper()
	w.nicteam(append([]string{"set", teamName}, settings...)...)
}

// status returns what `nicteam status --json` prints.
func (w *world) status() *api.Status {
	w.t.Helper()
	return ask(w.t, w.box, teamName, (*control.Client).Status)
}

// member returns a member of the status.
func (w *world) member(nic string) api.Member {
	w.t.Helper()
	return memberOf(w.t, w.status(), nic)
}

func memberOf(t testing.TB, s *api.Status, nic string) api.Member {
	t.Helper()
	for _, m := range s.Members {
		if m.Name == nic {
			return m
		}
	}
	t.Fatalf("%s is no member in %+v", nic, s.Members)
	return api.Member{}
}

// await waits until holds is true for the status.
func (w *world) await(what string, holds func(*api.Status) bool) *api.Status {
	w.t.Helper()
	var s *api.Status
	labtest.Eventually(w.t, what, func() bool { s = w.status(); return holds(s) })
	return s
}

// awaitMember waits until a member has a state.
func (w *world) awaitMember(nic, state string) *api.Status {
	w.t.Helper()
	return w.await(nic+" "+state, func(s *api.Status) bool {
		for _, m := range s.Members {
			if m.Name == nic {
				return m.State == state
			}
		}
		return false
	})
}

// link returns the attributes of a device of a host.
func link(t testing.TB, h *lab.Host, name string) *netlink.LinkAttrs {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	if err != nil {
		t.Fatalf("find %s in %s: %v", name, h.Name, err)
	}
	return l.Attrs()
}

// nics returns the names of the first n NICs of box.
func nics(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("eth%d", i+1)
	}
	return names
}

// parseStatus parses the output of nicteam status --json; false if there is none.
func parseStatus(r result) (*api.Status, bool) {
	s := &api.Status{}
	return s, r.Code == 0 && json.Unmarshal([]byte(r.Out), s) == nil
}
