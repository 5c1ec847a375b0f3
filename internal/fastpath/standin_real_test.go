// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// succession is a Plan of active-backup: m0, then m1, then m2.
func (g *rig) succession() *spread.Plan {
	pl := g.plan(spread.RuleSingle)
	pl.Distributing, pl.Collecting, pl.Multicast = 1, 1, 1
	pl.Next, pl.Later, pl.Least = 1, []uint8{2}, 1
	return pl
}

// engaged is a rig whose programs see losses, with a Plan in force and a stream of so many frames a second.
func engaged(t *testing.T, pl func(g *rig) *spread.Plan) (g *rig, out *lab.Running) {
	t.Helper()
	g = newRig(t, 3)
	labtest.Must(t, g.path.Apply(pl(g)))
	labtest.Must(t, g.path.Engage())
	if err := g.path.Blind(); err != nil {
		t.Skip(err)
	}
	if g.path.SeesLosses() == g.path.plan.Patient {
		t.Fatalf("programs that are not blind see losses: %v", g.path.SeesLosses())
	}
	// So many flows that each member has one, wherever their hash puts them.
	out = labtest.Start(t, lab.Stream{From: g.host, To: g.peer, Address: peerAddress, Rate: 5000, Flows: 64})
	t.Cleanup(func() { out.Stop() })
	g.flow(out)
	return g, out
}

// sentBy is how many UDP frames each member has sent.
func (g *rig) sentBy() (n [3]uint64) {
	c := g.totals()
	for id := range n {
		n[id] = c.Members[id].TX[frame.UDP].Frames
	}
	return n
}

// Without any other Plan, frames of dead members leave by others, and the control loop is told which are dead.
func TestStandInWithoutThePlan(t *testing.T) {
	for name, pl := range map[string]func(g *rig) *spread.Plan{
		"single":   (*rig).succession,
		"slots":    func(g *rig) *spread.Plan { return g.plan(spread.RuleSlots) },
		"shortest": func(g *rig) *spread.Plan { return g.plan(spread.RuleShortest) },
	} {
		t.Run(name, func(t *testing.T) {
			g, out := engaged(t, pl)
			for id := range 2 {
				labtest.Must(t, g.peer.Down(fmt.Sprintf("p%d", id)))
				was := g.sentBy()[id]
				reported := id
				if name == "single" {
					reported = 0 // it is active still
				}
				labtest.Eventually(t, "a report", func() bool { return suspects(g.path, reported) })
				g.flow(out)
				// What was sent just before the loss is counted a moment later.
				if n := g.sentBy()[id]; n > was+20 {
					t.Errorf("%d frames have left by the dead member %d", n-was, id)
				}
				if dead, want := g.path.Dead(), spread.MemberSet(1)<<(id+1)-1; dead != want {
					t.Errorf("dead are %b, want %b", dead, want)
				}
			}
			labtest.Must(t, g.peer.Up("p1"))
			was := g.sentBy()
			labtest.Eventually(t, "member 1 at work", func() bool {
				// Flows stay where they are under RuleShortest.
				return g.sentBy()[1] > was[1]+100 || name == "shortest" && g.path.Dead() == 1
			})
			report, err := out.Stop()
			labtest.Must(t, err)
			if report.Duplicated > 0 || report.Corrupt > 0 {
				t.Errorf("%v", report)
			}
		})
	}
}

// lossOf returns what was reported of a member's link, ControlLost if any of it was.
func lossOf(p *Path, id int) (found team.Control) {
	for {
		select {
		case c := <-p.Control():
			if c.Member == id && (c.Kind == team.ControlLost || c.Kind == team.ControlSuspect && found.Kind == 0) {
				found = c
			}
		default:
			return found
		}
	}
}

// What programs report is looked at once more, for the report may be old.
func TestLossIsLookedAt(t *testing.T) {
	g, _ := engaged(t, (*rig).succession)
	p, k := g.path, g.path.kernel
	look := func() team.Control { return p.lookAt(k, 0) }
	suspect := team.Control{Kind: team.ControlSuspect, Member: 0}
	if got := look(); !reflect.DeepEqual(got, suspect) {
		t.Errorf("a NIC with a carrier: %+v", got)
	}
	labtest.Must(t, g.peer.Down("p0"))
	lost := team.Control{Kind: team.ControlLost, Member: 0, Index: g.links[0].Index}
	labtest.Eventually(t, "the loss", func() bool { return reflect.DeepEqual(look(), lost) })
	labtest.Must(t, g.host.Down("m0"))
	lost.Down = true
	if got := look(); !reflect.DeepEqual(got, lost) {
		t.Errorf("a NIC that is down: %+v", got)
	}
	p.mu.Lock()
	address := k.devices[0]
	k.devices[0] = address + 8 // of a NIC that was there before
	p.mu.Unlock()
	if got := look(); !reflect.DeepEqual(got, suspect) {
		t.Errorf("another NIC than the one that programs look at: %+v", got)
	}
	p.mu.Lock()
	k.devices[0] = address
	p.mu.Unlock()
	labtest.Must(t, p.Leave(0))
	if got := look(); !reflect.DeepEqual(got, suspect) {
		t.Errorf("a NIC that has left: %+v", got)
	}
}

// By the way that the adapter's frames take, its switch sends back what is for it.
func TestStandInReceives(t *testing.T) {
	g, out := engaged(t, (*rig).succession)
	in := labtest.Start(t, lab.Stream{From: g.peer, To: g.host, Address: hostAddress, Rate: 2000})
	g.flow(out, in)
	labtest.Must(t, g.peer.Down("p0"))
	g.flow(out, in)
	c := g.totals()
	if n := c.Members[1].RX[frame.UDP].Frames; n == 0 {
		t.Errorf("received by member 1: %+v", c.Members[1])
	}
	report, err := in.Stop()
	labtest.Must(t, err)
	if report.Duplicated > 0 {
		t.Errorf("%v", report)
	}
}

// A member without link whose Plan has patience goes on sending, and one whose address is not known as well.
func TestPatientPlan(t *testing.T) {
	g, out := engaged(t, func(g *rig) *spread.Plan {
		pl := g.succession()
		pl.Patient = true
		return pl
	})
	labtest.Must(t, g.peer.Down("p0"))
	was := g.sentBy()
	labtest.Eventually(t, "frames by the dead member", func() bool { return g.sentBy()[0] > was[0]+100 })
	if n := g.sentBy()[1]; n != 0 {
		t.Errorf("%d frames by member 1", n)
	}
	if g.path.Dead() != 0 || suspects(g.path, 0) {
		t.Error("it counts as dead")
	}
	labtest.Must(t, g.path.Apply(g.succession()))
	g.flow(out)
	g.path.mu.Lock()
	g.path.kernel.devices[0] = 0
	g.path.mu.Unlock()
	labtest.Must(t, g.path.Apply(g.succession()))
	was = g.sentBy()
	labtest.Eventually(t, "frames by the dead member", func() bool { return g.sentBy()[0] > was[0]+100 })
}

// Programs see losses while there is no process, and those of the next one do too.
func TestStandInBetweenProcesses(t *testing.T) {
	v := newLives(t, 3, "", (*rig).succession, true)
	if err := v.path.Blind(); err != nil {
		t.Skip(err)
	}
	out := labtest.Start(t, lab.Stream{From: v.host, To: v.peer, Address: peerAddress, Rate: 4000})
	t.Cleanup(func() { out.Stop() })
	v.flow(out)
	v.die()
	labtest.Must(t, v.peer.Down("p0"))
	v.flow(out) // while there is no process
	labtest.Must(t, v.begin())
	v.flow(out) // by the Plan of before
	if dead := v.path.Dead(); dead != 1 {
		t.Errorf("dead are %b by the Plan of before", dead)
	}
	pl := v.succession()
	pl.Active, pl.Next, pl.Later = 1, 2, nil
	pl.Distributing, pl.Collecting, pl.Multicast = 2, 2, 2
	labtest.Must(t, v.path.Apply(pl))
	v.settled()
	if !v.path.SeesLosses() {
		t.Error("the next process's programs see nothing")
	}
	labtest.Must(t, v.peer.Down("p1"))
	labtest.Eventually(t, "a report", func() bool { return suspects(v.path, 1) })
	v.flow(out)
	if n := v.totals().Members[2].TX[frame.UDP].Frames; n == 0 {
		t.Error("member 2 has sent nothing")
	}
}

// Whatever becomes of a NIC under the programs, they do no harm, and others send in its place where that shows.
func TestNICGoesUnderThePrograms(t *testing.T) {
	other := labtest.Host(t, "other")
	for _, c := range []struct {
		name string
		do   func(g *rig, l netlink.Link)
		lost bool // it may look alive, and its frames do not leave then, as without these programs
		told bool // its loss is reported. Others go down on their way, and may be reported as that
	}{
		// What the kernel puts where a NIC was may look like one.
		{"deleted", func(g *rig, l netlink.Link) { labtest.Must(g, g.host.Handle().LinkDel(l)) }, true, false},
		{"set down", func(g *rig, _ netlink.Link) { labtest.Must(g, g.host.Down("m0")) }, false, true},
		{"moved away", func(g *rig, l netlink.Link) {
			labtest.Must(g, g.host.Handle().LinkSetNsFd(l, other.NetNS()))
		}, false, false},
		{"moved away and set up", func(g *rig, l netlink.Link) {
			labtest.Must(g, g.host.Handle().LinkSetNsFd(l, other.NetNS()))
			labtest.Must(g, other.Up("m0"))
		}, true, false},
		{"replaced", func(g *rig, l netlink.Link) {
			labtest.Must(g, g.host.Handle().LinkDel(l))
			a := netlink.NewLinkAttrs()
			a.Name, a.Index, a.Flags = "m0", l.Attrs().Index, 0
			labtest.Must(g, g.host.Handle().LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "m0x"}))
		}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, out := engaged(t, (*rig).succession)
			l, err := g.host.Handle().LinkByName("m0")
			labtest.Must(t, err)
			lossOf(g.path, 0)
			c.do(g, l)
			sent := func() uint64 { n := g.sentBy(); return n[0] + n[1] + n[2] }
			was := sent()
			labtest.Eventually(t, "frames, wherever they go", func() bool { return sent() > was+100 })
			if loss := lossOf(g.path, 0); loss.Kind == team.ControlLost && !loss.Down {
				t.Errorf("reported as %+v", loss)
			} else if c.told && (loss.Kind != team.ControlLost || loss.Index != l.Attrs().Index) {
				t.Errorf("reported as %+v, want the loss of %d", loss, l.Attrs().Index)
			}
			if !c.lost {
				g.flow(out)
				if n := g.sentBy()[1]; n < 100 {
					t.Errorf("%d frames by the stand-in", n)
				}
			}
			pl := g.succession()
			pl.Active, pl.Next, pl.Later = 1, 2, nil
			pl.Distributing, pl.Collecting, pl.Multicast = 2, 2, 2
			labtest.Must(t, g.path.Apply(pl))
			g.flow(out)
			_ = g.path.Leave(0) // what was attached to the NIC has gone with it
		})
	}
}

// A NIC that is set down after the program has looked at it drops the frame, as without these programs.
func TestNICGoesDownBehindTheLook(t *testing.T) {
	g, out := engaged(t, (*rig).succession)
	g.path.mu.Lock()
	g.path.kernel.devices[0] = g.path.kernel.devices[2] // whose NIC stays up
	g.path.mu.Unlock()
	labtest.Must(t, g.path.Apply(g.succession()))
	labtest.Must(t, g.host.Down("m0"))
	was := g.sentBy()
	labtest.Eventually(t, "frames for the NIC that is down", func() bool { return g.sentBy()[0] > was[0]+100 })
	if got := g.sentBy(); got[1] != was[1] || got[2] != was[2] {
		t.Errorf("others have sent: %v, before %v", got, was)
	}
	labtest.Must(t, g.host.Up("m0"))
	g.flow(out)
}

// The relay below does not see losses.
func TestRelaySeesNoLosses(t *testing.T) {
	g := newRig(t, 1)
	if g.path.SeesLosses() || g.path.Dead() != 0 || g.path.Blind() != nil {
		t.Error("the relay sees")
	}
}
