// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	tc "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// foreignProgram is a tcx program of another user on the ingress of a NIC of box. It passes everything on.
type foreignProgram struct {
	w    *world
	nic  string
	link tc.Link
	id   ebpf.ProgramID
}

func (w *world) attachForeignProgram(nic string) *foreignProgram {
	w.t.Helper()
	if !hasTCX(w.t) {
		w.t.Skip("needs Linux 6.6 for tcx")
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bystander", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}})
	labtest.Must(w.t, err)
	defer p.Close()
	info, err := p.Info()
	labtest.Must(w.t, err)
	b := &foreignProgram{w: w, nic: nic}
	b.id, _ = info.ID()
	index := link(w.t, w.box, nic).Index
	labtest.Must(w.t, w.box.Do(func() (err error) {
		b.link, err = tc.AttachTCX(tc.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
		return err
	}))
	w.t.Cleanup(b.detach)
	return b
}

func (b *foreignProgram) detach() { labtest.Check(b.w.t, b.link.Close()) }

// checkRuns fails the test unless the program is still attached.
func (b *foreignProgram) checkRuns() {
	b.w.t.Helper()
	if !slices.Contains(b.w.programs(b.nic, ebpf.AttachTCXIngress), b.id) {
		b.w.t.Errorf("the program of somebody else is on %s no more", b.nic)
	}
}

func hasTCX(t testing.TB) bool { return !labtest.KernelBefore(t, 6, 6) }

// parents are the tc parents of the hooks.
var parents = map[ebpf.AttachType]uint32{ebpf.AttachTCXIngress: netlink.HANDLE_MIN_INGRESS,
	ebpf.AttachTCXEgress: netlink.HANDLE_MIN_EGRESS}

// programs returns the programs on a hook of a NIC of box: by tcx, or tc filters on kernels without it.
func (w *world) programs(nic string, hook ebpf.AttachType) (ids []ebpf.ProgramID) {
	w.t.Helper()
	index := link(w.t, w.box, nic).Index
	if !hasTCX(w.t) {
		l, err := w.box.Handle().LinkByIndex(index)
		labtest.Must(w.t, err)
		list, err := w.box.Handle().FilterList(l, parents[hook])
		labtest.Must(w.t, err)
		for _, f := range list {
			if b, ok := f.(*netlink.BpfFilter); ok {
				ids = append(ids, ebpf.ProgramID(b.Id))
			}
		}
		return ids
	}
	labtest.Must(w.t, w.box.Do(func() error {
		got, err := tc.QueryPrograms(tc.QueryOptions{Target: index, Attach: hook})
		for errors.Is(err, unix.ENOSPC) { // one was attached between counting and listing
			got, err = tc.QueryPrograms(tc.QueryOptions{Target: index, Attach: hook})
		}
		if err == nil {
			for _, p := range got.Programs {
				ids = append(ids, p.ID)
			}
		}
		return err
	}))
	return ids
}

// awaitDatapath waits until the status names a data path, with the words in its reason.
func (w *world) awaitDatapath(path string, words ...string) *api.Status {
	w.t.Helper()
	s := w.await("data path "+path, func(s *api.Status) bool { return s.Datapath == path })
	for _, word := range words {
		if !strings.Contains(s.DatapathReason, word) {
			w.t.Errorf("data path %s, because: %q; want %q in it", s.Datapath, s.DatapathReason, word)
		}
	}
	return s
}

// TestProgramsOfOthers: with another user's program on a member, auto stays with the relay and names it, fastpath is
// refused, and that program is untouched. When it is gone the fast path works.
func TestProgramsOfOthers(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	other := w.attachForeignProgram("eth2")
	before := w.state()
	who := fmt.Sprintf("(id %d)", other.id)
	checkRefused(t, w.try(append([]string{"create", teamName}, nics(2)...)...), 5, "create team0", "eth2",
		`tcx program "bystander"`, who, "--force")
	checkRefused(t, w.try(append([]string{"create", teamName, "-y", "--datapath", "fastpath"}, nics(2)...)...), 1,
		"create team0", "eth2", `tcx program "bystander"`, who, "datapath=auto")
	w.checkUnchanged("after a create that was refused", before)
	w.checkNoFiles("after a create that was refused")

	w.create(nics(2), "-y")
	if s := w.awaitDatapath("relay", "eth2", `tcx program "bystander"`, who); s.State != "up" || len(s.Warnings) > 0 {
		t.Errorf("state %s, warnings %q", s.State, s.Warnings)
	}
	conn := w.startEcho()
	checkRefused(t, w.try("set", teamName, "datapath=fastpath"), 1, "set datapath=fastpath", "eth2", who)
	if s := w.awaitDatapath("relay", "eth2", who); s.Settings.Datapath != "auto" {
		t.Errorf("after a set that was refused the setting is %s", s.Settings.Datapath)
	}
	w.set("datapath=auto")
	w.awaitDatapath("relay", "eth2", who)
	conn.check("by the relay")
	other.checkRuns()
	other.detach()
	w.set("datapath=fastpath")
	w.awaitDatapath("fastpath", "eBPF")
	conn.check("by the programs")
	if b, err := os.ReadFile(w.box.Path("/etc/nicteam/" + teamName + ".yaml")); err != nil ||
		!strings.Contains(string(b), "datapath: fastpath") {
		t.Errorf("what is kept for the next start: %s (%v)", b, err)
	}

	// A NIC that cannot have the programs joins nevertheless, and the relay moves everything as long as it is a member.
	other = w.attachForeignProgram("eth3")
	checkRefused(t, w.try("add", teamName, "eth3"), 5, "add to team0", "eth3", `tcx program "bystander"`,
		"--force")
	if out := w.nicteam("add", teamName, "eth3", "-y"); !strings.Contains(out, "warning: fell back to the relay") {
		t.Errorf("add says %q", out)
	}
	if s := w.awaitDatapath("relay", "eth3", fmt.Sprintf("(id %d)", other.id)); s.State != "degraded" ||
		!strings.Contains(strings.Join(s.Warnings, ""), "datapath=fastpath is not possible") {
		t.Errorf("state %s, warnings %q", s.State, s.Warnings)
	}
	conn.check("by the relay again")
	other.checkRuns()
	w.nicteam("remove", teamName, "eth3")
	if s := w.awaitDatapath("fastpath"); s.State != "up" || len(s.Warnings) > 0 {
		t.Errorf("state %s, warnings %q", s.State, s.Warnings)
	}
	conn.check("by the programs again")
	other.checkRuns()
	var changes []string
	for line := range strings.Lines(w.nicteam("events", teamName, "--json")) {
		var e api.Event
		labtest.Must(t, json.Unmarshal([]byte(line), &e))
		if e.Event == "datapath-changed" {
			changes = append(changes, e.Reason[:strings.Index(e.Reason, ":")])
		}
	}
	if want := []string{"fastpath, was relay", "relay, was fastpath", "fastpath, was relay"}; !slices.Equal(changes,
		want) {
		t.Errorf("events: %q, want %q", changes, want)
	}
}

// TestWithoutCapability: a process that may not load programs uses the relay and says why.
func TestWithoutCapability(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	labtest.Tool(t, "nft", "nftables") // what hides the members then
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	weak := func(args ...string) result {
		t.Helper()
		cmd := w.box.Command("setpriv", append([]string{"--bounding-set=-bpf,-perfmon,-sys_admin", program(t)},
			args...)...)
		var out, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &stderr
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return result{Out: out.String(), Err: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	}
	checkRefused(t, weak("create", teamName, "eth1", "eth2", "--datapath", "fastpath"), 4, "CAP_BPF", "datapath=auto")
	w.checkUnchanged("after a create that was refused", before)
	w.checkNoFiles("after a create that was refused")
	if r := weak("create", teamName, "eth1", "eth2"); r.Code != 0 {
		t.Fatalf("exit %d: %s", r.Code, r.Err)
	}
	conn := w.startEcho()
	if s := w.awaitDatapath("relay", "CAP_BPF"); s.State != "up" || len(s.Warnings) > 0 {
		t.Errorf("state %s, warnings %q", s.State, s.Warnings)
	}
	checkRefused(t, w.try("set", teamName, "datapath=fastpath"), 4, "CAP_BPF")
	w.awaitDatapath("relay", "CAP_BPF")
	conn.check("by the relay")
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// TestProgramsEndWithTheProcess kills the process in the fast path: tcx programs end with it, tc filters are removed by
// restore. The next process loads its own.
func TestProgramsEndWithTheProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2), "--datapath", "fastpath")
	conn := w.startEcho()
	programs, maps := w.loadedPrograms()
	if len(programs) < 3 || len(maps) == 0 {
		t.Fatalf("programs %v and maps %v, want transmit, receive, listen and their memory", programs, maps)
	}
	gone := func(when string) {
		t.Helper()
		labtest.Eventually(t, "programs and maps are gone "+when, func() bool {
			for _, id := range programs {
				if p, err := ebpf.NewProgramFromID(id); !errors.Is(err, os.ErrNotExist) {
					p.Close()
					return false
				}
			}
			for _, id := range maps {
				if m, err := ebpf.NewMapFromID(id); !errors.Is(err, os.ErrNotExist) {
					m.Close()
					return false
				}
			}
			return true
		})
	}
	w.kill(w.teamProcess(), unix.SIGKILL)
	if hasTCX(t) {
		gone("after the death")
		for nic, hook := range map[string]ebpf.AttachType{"eth1": ebpf.AttachTCXIngress, "eth2": ebpf.AttachTCXIngress,
			teamName: ebpf.AttachTCXEgress} {
			if left := w.programs(nic, hook); len(left) > 0 {
				t.Errorf("%s has programs %v", nic, left)
			}
		}
	}
	// The adapter exists, and the process that resumes it loads programs of its own.
	s := w.supervise("--config", "/run/nicteam/"+teamName+".yaml")
	w.awaitDatapath("fastpath")
	conn.check("after the death")
	gone("when there are others")
	programs, maps = w.loadedPrograms()
	labtest.Must(t, s.Process.Kill())
	<-s.done
	w.nicteam("restore", teamName)
	gone("after restore")
	w.checkUnchanged("after restore", before)
}

// loadedPrograms returns the programs of the team and the maps that they share.
func (w *world) loadedPrograms() (programs []ebpf.ProgramID, maps []ebpf.MapID) {
	w.t.Helper()
	for _, id := range w.programs(teamName, ebpf.AttachTCXEgress) {
		maps = append(maps, mapsOf(w.t, id)...)
	}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return programs, maps
		}
		labtest.Must(w.t, err)
		id = next
		if slices.ContainsFunc(mapsOf(w.t, id), func(m ebpf.MapID) bool { return slices.Contains(maps, m) }) {
			programs = append(programs, id)
		}
	}
}

// mapsOf returns the maps of a program, none if it is gone.
func mapsOf(t testing.TB, id ebpf.ProgramID) []ebpf.MapID {
	t.Helper()
	p, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	labtest.Must(t, err)
	defer p.Close()
	info, err := p.Info()
	labtest.Must(t, err)
	ids, _ := info.MapIDs()
	return ids
}

// TestDatapathWithoutANIC changes the data path while a member's NIC is absent.
func TestDatapathWithoutANIC(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	w.create(nics(3), "--mode", "active-backup")
	conn := w.startEcho()
	labtest.Must(t, w.wires["eth1"].A.Unplug())
	w.awaitMember("eth1", "absent")
	for _, path := range []string{"relay", "fastpath"} {
		w.set("datapath=" + path)
		w.awaitDatapath(path)
		conn.check("without eth1 by " + path)
	}
	labtest.Must(t, w.wires["eth1"].A.Replug())
	w.await("eth1 usable", func(s *api.Status) bool { return s.State == "up" })
	labtest.Must(t, w.wires["eth2"].Cut())
	labtest.Must(t, w.wires["eth3"].Cut())
	w.awaitMember("eth3", "down")
	w.awaitDatapath("fastpath")
	conn.check("by eth1 alone")
}

// TestNICLeavesNamespace moves a member's NIC to another network namespace, where it has none of the programs. When it
// is back, with another ifindex, the fast path works again.
func TestNICLeavesNamespace(t *testing.T) {
	parallel(t)
	if !hasTCX(t) {
		t.Skip("needs Linux 6.6: filters stay behind by themselves")
	}
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(3), "--datapath", "fastpath")
	was := link(t, w.box, "eth3").Index
	move := func(from, to *lab.Host) {
		t.Helper()
		l, err := from.Handle().LinkByName("eth3")
		labtest.Must(t, err)
		labtest.Must(t, from.Handle().LinkSetNsFd(l, to.NetNS()))
	}
	// A device with that ifindex makes the kernel choose another.
	labtest.Must(t, w.peer.Handle().LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "taken", Index: was}}))
	move(w.box, w.peer)
	labtest.Eventually(t, "no program is on eth3", func() bool {
		index, there := link(t, w.peer, "eth3").Index, -1
		labtest.Must(t, w.peer.Do(func() error {
			got, err := tc.QueryPrograms(tc.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
			if err == nil {
				there = len(got.Programs)
			}
			return err
		}))
		return there == 0
	})
	move(w.peer, w.box)
	labtest.Must(t, w.peer.Handle().LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "taken", Index: was}}))
	w.await("eth3 usable", func(s *api.Status) bool { return s.State == "up" })
	w.awaitDatapath("fastpath")
	if got := link(t, w.box, "eth3").Index; got == was {
		t.Errorf("eth3 has index %d again", got)
	}
}
