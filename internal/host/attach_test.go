// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// Verdicts of tc programs.
const (
	next = -1 // TCX_NEXT, TC_ACT_UNSPEC
	pass = 0  // TC_ACT_OK: the end of the list
)

// Filter names of a data path.
const (
	receiveName  = "nicteam_receive"
	transmitName = "nicteam_transmit"
)

// verdict loads a program with one verdict.
func verdict(t testing.TB, name string, v int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, v), asm.Return()}})
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// recorded starts a journal with na as a member, and returns its ifindex.
func recorded(t *testing.T, h *Host) int {
	t.Helper()
	must(t, h.Begin())
	_, err := h.RecordMember("na")
	must(t, err)
	n, err := h.nic("na")
	must(t, err)
	return n.Index
}

var attachMethods = []tchook.Method{tchook.ByTCX, tchook.ByClsact}

// TestAttachBeforeIsolation attaches before and after isolation: what our program passes is received, what it leaves to
// the next is dropped, and without it everything is dropped. Nothing is left behind.
func TestAttachBeforeIsolation(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	labtest.Tool(t, "ping", "iputils-ping")
	for _, m := range attachMethods {
		for _, first := range []string{"attached", "isolated"} {
			t.Run(fmt.Sprintf("%s, %s first", m, first), func(t *testing.T) {
				kernelHas(t, m)
				w := newWorld(t)
				farEnd(t)
				run(t, "ip addr add 10.9.0.1/24 dev na")
				before := snapshot(t)
				h := w.open(nil)
				h.hooks.Method = m
				index := recorded(t, h)
				if first == "isolated" {
					must(t, h.Isolate(index))
				}
				c, err := h.Attach(index, ebpf.AttachTCXIngress, verdict(t, "passes", pass))
				must(t, err)
				must(t, h.Isolate(index))
				if !answersARP(t) {
					t.Error("what our program passed was dropped")
				}
				must(t, c.Close())
				must(t, c.Close())
				if answersARP(t) {
					t.Error("the isolation went with our program")
				}
				c, err = h.Attach(index, ebpf.AttachTCXIngress, verdict(t, "leaves", next))
				must(t, err)
				if answersARP(t) {
					t.Error("what our program left to the next was not dropped")
				}
				must(t, h.Unisolate(index))
				if !answersARP(t) {
					t.Error("what our program left to the next was dropped without isolation")
				}
				must(t, c.Close())
				_, err = h.Finish()
				must(t, err)
				compare(t, before, snapshot(t))
			})
		}
	}
}

// tcxPrograms lists the programs on a hook in order.
func tcxPrograms(t testing.TB, nic string, at ebpf.AttachType) (names []string) {
	t.Helper()
	index, err := interfaceIndex(nic)
	must(t, err)
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
	if noTCX(err) {
		return nil
	}
	must(t, err)
	for _, p := range got.Programs {
		q, err := ebpf.NewProgramFromID(p.ID)
		must(t, err)
		info, err := q.Info()
		must(t, err)
		names = append(names, info.Name)
		q.Close()
	}
	return names
}

// onHooks lists programs and filters on the hooks of existing NICs.
func onHooks(t testing.TB, nics ...string) string {
	t.Helper()
	var b strings.Builder
	for _, n := range nics {
		if _, err := interfaceIndex(n); err != nil {
			continue
		}
		fmt.Fprintln(&b, n, tcxPrograms(t, n, ebpf.AttachTCXIngress), tcxPrograms(t, n, ebpf.AttachTCXEgress))
		b.WriteString(run(t,
			fmt.Sprintf(
				"tc qdisc show dev %[1]s | grep clsact || true; tc filter show dev %[1]s ingress; tc filter show "+
					"dev %[1]s egress", n)))
	}
	return b.String()
}

// attachAll attaches like a data path: to the adapter and the members.
func attachAll(w *world, h *Host) error {
	_, err := attachAdapter(h)
	if err != nil {
		return err
	}
	return attachMembers(w, h)
}

func attachAdapter(h *Host) (io.Closer, error) {
	a, err := interfaceIndex(teamName)
	if err != nil {
		return nil, err
	}
	return attachVerdict(h, a, ebpf.AttachTCXEgress)
}

func attachMembers(w *world, h *Host) error {
	for _, name := range w.nics {
		index, err := interfaceIndex(name)
		if err != nil {
			return err
		}
		if _, err := attachVerdict(h, index, ebpf.AttachTCXIngress); err != nil {
			return err
		}
	}
	return nil
}

func attachVerdict(h *Host, index int, at ebpf.AttachType) (io.Closer, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "team_program", Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, next), asm.Return()}})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if at == ebpf.AttachTCXIngress {
		return h.AttachIsolating(index, p)
	}
	return h.Attach(index, at, p)
}

// nextProcess acts as another process of the team, which knows only the journal.
func nextProcess(_ *world, h *Host) error {
	h.hooks = tchook.New(h.rt, h.log, h.hooks.Options)
	return h.Begin()
}

// foreign is a filter that every kernel with tc supports.
const foreign = "protocol ip u32 match u32 0 0 flowid 1:1"

// TestHookHeld: a hook with a foreign program is refused by name, and nothing changes.
func TestHookHeld(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	tests := []struct {
		name, script string
		tcx          ebpf.AttachType // a program of somebody else
		at           ebpf.AttachType
		own          bool // the qdisc excludes ours
		want         string
	}{
		{name: "tcx", tcx: ebpf.AttachTCXIngress, at: ebpf.AttachTCXIngress,
			want: `ingress of na is held by tcx program "cil_from_netdev" (id `},
		{name: "tcx egress", tcx: ebpf.AttachTCXEgress, at: ebpf.AttachTCXEgress,
			want: `egress of na is held by tcx program "cil_from_netdev" (id `},
		{name: "tcx on the other hook", tcx: ebpf.AttachTCXEgress, at: ebpf.AttachTCXIngress},
		{name: "filter", script: "tc qdisc add dev na clsact; tc filter add dev na ingress pref 49152 " + foreign,
			at:   ebpf.AttachTCXIngress,
			want: `ingress of na is held by tc filter "u32" pref 49152`},
		{name: "filter on egress", script: "tc qdisc add dev na clsact; tc filter add dev na egress pref 7 " + foreign,
			at:   ebpf.AttachTCXEgress,
			want: `egress of na is held by tc filter "u32" pref 7`},
		{name: "filter on the other hook", script: "tc qdisc add dev na clsact; tc filter add dev na egress pref 7 " +
			foreign, at: ebpf.AttachTCXIngress},
		{name: "qdisc ingress", script: "tc qdisc add dev na ingress; tc filter add dev na ingress pref 3 " + foreign,
			at: ebpf.AttachTCXIngress, own: true,
			want: `ingress of na is held by tc filter "u32" pref 3`},
		{name: "egress beside qdisc ingress",
			script: "tc qdisc add dev na ingress; tc filter add dev na ingress pref 3 " + foreign,
			at:     ebpf.AttachTCXEgress, own: true},
		{name: "shared block", script: "tc qdisc add dev na ingress_block 5 clsact; tc filter add block 5 pref 3 " +
			foreign, at: ebpf.AttachTCXIngress, own: true,
			want: `ingress of na is held by tc filter "u32" pref 3`},
		{name: "empty clsact", script: "tc qdisc add dev na clsact", at: ebpf.AttachTCXIngress},
	}
	for _, m := range attachMethods {
		for _, tt := range tests {
			t.Run(string(m)+", "+tt.name, func(t *testing.T) {
				kernelHas(t, m)
				if m == tchook.ByClsact && tt.own && tt.want == "" {
					t.Skip("clsact and ingress exclude each other")
				}
				w := newWorld(t)
				h := w.open(nil)
				h.hooks.Method = m
				index := recorded(t, h)
				if tt.at == ebpf.AttachTCXIngress && !tt.own {
					must(t, h.Isolate(index)) // is nobody else
				}
				if tt.script != "" {
					run(t, strings.ReplaceAll(tt.script, "qdisc add dev na clsact", "qdisc replace dev na clsact"))
				}
				if tt.tcx != 0 {
					kernelHas(t, tchook.ByTCX)
					l, err := link.AttachTCX(link.TCXOptions{Interface: index,
						Program: verdict(t, "cil_from_netdev", next), Attach: tt.tcx})
					must(t, err)
					defer l.Close()
				}
				before, records := onHooks(t, "na"), journalSize(t, h)
				c, err := h.Attach(index, tt.at, verdict(t, "ours", next))
				if tt.want == "" {
					must(t, err)
					must(t, c.Close())
				} else {
					var held *tchook.HookHeld
					if !errors.As(err, &held) || !strings.HasPrefix(held.Error(), tt.want) || held.NIC != "na" {
						t.Errorf("%v, want %s", err, tt.want)
					}
					if tchook.WhyNoPrograms(err) != held.Error() {
						t.Errorf("reason: %s", tchook.WhyNoPrograms(err))
					}
					if journalSize(t, h) != records {
						t.Error("something was journalled")
					}
				}
				if after := onHooks(t, "na"); after != before {
					t.Errorf("before:\n%safter:\n%s", before, after)
				}
			})
		}
	}
}

// TestAttachRefuses: links outside the team, and a second program, are refused.
func TestAttachRefuses(t *testing.T) {
	for _, m := range attachMethods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			w := newWorld(t)
			h := w.open(nil)
			h.hooks.Method = m
			p := verdict(t, "ours", next)
			index := recorded(t, h)
			other, err := interfaceIndex("nb")
			must(t, err)
			before := onHooks(t, "na", "nb")
			if _, err := h.Attach(other, ebpf.AttachTCXIngress, p); err == nil {
				t.Error("attached to a NIC that is not the team's")
			}
			if _, err := h.Attach(1<<20, ebpf.AttachTCXIngress, p); !errors.Is(err, ErrNoNIC) {
				t.Errorf("attach to no NIC: %v", err)
			}
			if _, err := h.Attach(index, ebpf.AttachXDP, p); err == nil {
				t.Error("attached to XDP")
			}
			c, err := h.Attach(index, ebpf.AttachTCXIngress, p)
			must(t, err)
			if _, err := h.Attach(index, ebpf.AttachTCXIngress, p); err == nil {
				t.Error("attached twice")
			}
			must(t, c.Close())
			if after := onHooks(t, "na", "nb"); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			socket, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter,
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
			must(t, err)
			defer socket.Close()
			if _, err := h.Attach(index, ebpf.AttachTCXIngress, socket); err == nil {
				t.Error("attached a socket filter")
			}
			if after := onHooks(t, "na", "nb"); after != before {
				t.Errorf("after a program that cannot be attached:\n%swant:\n%s", after, before)
			}
		})
	}
}

// TestAttachGone detaches from a NIC that is gone while another has its ifindex, and attaches to that one.
func TestAttachGone(t *testing.T) {
	for _, m := range attachMethods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			w := newWorld(t)
			h := w.open(nil)
			h.hooks.Method = m
			p := verdict(t, "ours", next)
			index := recorded(t, h)
			mac := must1(h.nicAt(index)).MAC.String()
			c, err := h.Attach(index, ebpf.AttachTCXIngress, p)
			must(t, err)
			run(t, "ip link del na")
			again := func() {
				run(t, fmt.Sprintf("ip link add na index %d address %s type veth peer name pna", index, mac))
			}
			again()
			d, err := h.Attach(index, ebpf.AttachTCXIngress, p)
			if err != nil {
				t.Fatalf("attach to the NIC that is back: %v", err)
			}
			must(t, c.Close())
			if got := onHooks(t, "na"); !strings.Contains(got, "ours") && !strings.Contains(got, receiveName) {
				t.Error("closing what was on the old NIC took it off the new one")
			}
			run(t, "ip link del na")
			must(t, d.Close())
			run(t, fmt.Sprintf("ip link add na index %d type veth peer name pna", index))
			_, err = h.Finish()
			must(t, err)
		})
	}
}

// TestReleaseDetaches releases a member with a program: its program goes, the others stay until the end.
func TestReleaseDetaches(t *testing.T) {
	for _, m := range attachMethods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			w := newWorld(t)
			before := snapshot(t)
			h := w.open(nil)
			h.hooks.Method = m
			must(t, takeover(w, h))
			c, err := attachAdapter(h)
			must(t, err)
			must(t, attachMembers(w, h))
			_, err = h.Release("nb", false)
			must(t, err)
			if got := onHooks(t, "nb"); got != "nb [] []\n" {
				t.Errorf("on the NIC that was released: %s", got)
			}
			if got := onHooks(t, "na"); !strings.Contains(got, "team_program") && !strings.Contains(got, receiveName) {
				t.Errorf("on the one that was not: %s", got)
			}
			// Whoever forwards stops here, and may detach its programs.
			_, err = h.ReleaseAll(func() { must(t, c.Close()) })
			must(t, err)
			if got := onHooks(t, teamName); got != teamName+" [] []\n" {
				t.Errorf("on the adapter: %s", got)
			}
			_, err = h.Finish()
			must(t, err)
			compare(t, before, snapshot(t))
		})
	}
}

// TestKilledWithPrograms kills a process with attached programs. tcx leaves nothing on a hook; the next process, or
// Restore, removes clsact filters.
func TestKilledWithPrograms(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	self, err := os.Executable()
	must(t, err)
	for _, m := range attachMethods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			w := newWorld(t)
			w.configure()
			before := snapshot(t)
			kill := func() {
				t.Helper()
				c := exec.Command(self)
				c.Env = append(os.Environ(), crashVariable+"="+w.dir+" -1 "+string(m))
				if out, err := c.CombinedOutput(); err == nil || c.ProcessState.Exited() {
					t.Fatalf("the process was not killed: %v\n%s", err, out)
				}
			}
			kill()
			got := onHooks(t, teamName, "na", "nb")
			const empty = teamName + " [] []\nna [] []\nnb [] []\n"
			if m == tchook.ByTCX && got != empty {
				t.Errorf("the kernel left:\n%s", got)
			}
			if m == tchook.ByClsact && (strings.Count(got, receiveName) != 2 || strings.Count(got, transmitName) != 1) {
				t.Errorf("on the hooks after the kill:\n%s", got)
			}
			h := w.open(nil)
			h.hooks.Method = m
			must(t, h.Begin())
			if got = onHooks(t, teamName, "na", "nb"); strings.Contains(got, receiveName) ||
				strings.Contains(got, transmitName) {
				t.Errorf("left by the next process:\n%s", got)
			}
			must(t, attachAll(w, h))
			must(t, finish(w, h))
			h.Close()
			compare(t, before, snapshot(t))
			kill()
			h = w.open(nil)
			out, err := h.Restore()
			must(t, err)
			if len(out.Notes) > 0 {
				t.Errorf("notes: %q", out.Notes)
			}
			compare(t, before, snapshot(t))
		})
	}
}

// TestCapabilities attaches with the capabilities of a running team, and names the missing one without.
func TestCapabilities(t *testing.T) {
	labtest.Tool(t, "setpriv", "util-linux")
	self, err := os.Executable()
	must(t, err)
	const kept = "+net_admin,+net_raw"
	tests := []struct {
		name, caps string
		foreign    bool // a program of somebody else is on na
		want       string
	}{
		{name: "those of a team", caps: kept + ",+bpf,+perfmon"},
		{name: "no CAP_BPF", caps: kept, want: "reason: this process has neither CAP_BPF nor CAP_SYS_ADMIN"},
		{name: "hook held", caps: kept + ",+bpf,+perfmon", foreign: true,
			want: "reason: ingress of na is held by tcx program (id "},
	}
	for _, m := range attachMethods {
		for _, tt := range tests {
			t.Run(string(m)+", "+tt.name, func(t *testing.T) {
				kernelHas(t, m)
				w := newWorld(t)
				if tt.foreign {
					kernelHas(t, tchook.ByTCX)
					index, err := interfaceIndex("na")
					must(t, err)
					l, err := link.AttachTCX(link.TCXOptions{Interface: index,
						Program: verdict(t, "cil_from_netdev", next), Attach: ebpf.AttachTCXIngress})
					must(t, err)
					defer l.Close()
				}
				c := exec.Command("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,"+tt.caps, self)
				c.Env = append(os.Environ(), crashVariable+"="+w.dir+" -1 "+string(m))
				out, _ := c.CombinedOutput()
				if c.ProcessState.Exited() != (tt.want != "") || !strings.Contains(string(out), tt.want) {
					t.Errorf("%v, want %q:\n%s", c.ProcessState, tt.want, out)
				}
				_, err := w.open(nil).Restore()
				must(t, err)
			})
		}
	}
}
