package daemon_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/team"
)

// How many random sequences there are and which is the first: `go test -run RandomSequences -start 17 -sequences 1` repeats one.
var (
	sequences     = flag.Int("sequences", 4, "TestRandomSequences: so many")
	firstSequence = flag.Int64("start", 1, "TestRandomSequences: the first seed")
)

// TestRandomSequences has teams come, change, die and go, with others changing the host meanwhile, in random orders. In the end box
// is as it was, but for what others did, and can be reached.
func TestRandomSequences(t *testing.T) {
	t.Parallel()
	for seed := range int64(*sequences) {
		seed += *firstSequence
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newSequence(t, seed).run()
		})
	}
}

// A sequence is a world and what was done to it.
type sequence struct {
	*world
	rnd    *rand.Rand
	before state
	done   []string

	cut    map[string]bool // NICs whose cable is out
	theirs map[string]bool // addresses and routes of others
	n      int             // of those so far
	moved  bool            // a team ended while a cable was out
}

func newSequence(t *testing.T, seed int64) *sequence {
	s := &sequence{world: newWorld(t, worldOptions{NICs: 3, Cables: true}), rnd: rand.New(rand.NewPCG(uint64(seed), 0)),
		cut: map[string]bool{}, theirs: map[string]bool{}}
	s.sh(`ip addr add 10.9.0.11/24 dev eth1 label eth1:web; ip addr add 10.8.0.1/24 dev eth2
		ip route add default via 10.9.0.2 dev eth1 metric 100; ip route add 10.30.0.0/16 via 10.8.0.2 dev eth2
		ip -6 route add default via fd09::2 dev eth1`)
	s.before = s.state()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(s.done, "\n"))
		}
	})
	return s
}

func (s *sequence) note(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf(format, args...))
}

func oneOf[T any](s *sequence, from []T) T { return from[s.rnd.IntN(len(from))] }

// members of the team that runs, nil if none does.
func (s *sequence) members() []string {
	if s.try("status", teamName, "-q").Code != 0 {
		return nil
	}
	var names []string
	for _, m := range s.status().Members {
		names = append(names, m.Name)
	}
	return names
}

// left reports whether a team that does not run has left something to restore.
func (s *sequence) left() bool {
	_, err := os.Stat(s.box.Path("/var/lib/nicteam/" + teamName + ".journal"))
	return err == nil
}

func (s *sequence) linked() (with []string) {
	for _, nic := range nics(3) {
		if !s.cut[nic] {
			with = append(with, nic)
		}
	}
	return with
}

func (s *sequence) run() {
	for range 6 + s.rnd.IntN(8) {
		s.step()
		if s.t.Failed() {
			return
		}
	}
	s.end()
}

func (s *sequence) step() {
	members := s.members()
	switch {
	case members == nil && s.left():
		if s.rnd.IntN(2) == 0 {
			s.ends("restore", teamName)
			return
		}
		s.note("run")
		s.supervise("--config", s.box.Path("/run/nicteam/"+teamName+".yaml"))
		return
	case members == nil && s.rnd.IntN(3) > 0:
		if with := s.linked(); len(with) > 0 {
			chosen := nics(3)[:1+s.rnd.IntN(3)]
			if !slices.ContainsFunc(chosen, func(n string) bool { return slices.Contains(with, n) }) {
				chosen = with
			}
			s.does(append([]string{"create", teamName, "--mode", oneOf(s, []string{"elb", "active-backup", "xor", "round-robin"})}, chosen...)...)
			return
		}
	}
	switch at := s.rnd.IntN(10); {
	case at < 2:
		s.others()
	case at < 4:
		s.cable()
	case members == nil:
	case at == 4:
		s.note("kill")
		s.kill(s.teamProcess(), unix.SIGKILL)
	case at == 5:
		s.ends("delete", teamName)
	case at == 6:
		for _, nic := range nics(3) {
			if !slices.Contains(members, nic) {
				s.does("add", teamName, nic)
				return
			}
		}
	case at == 7 && len(members) > 1:
		s.does("remove", teamName, oneOf(s, members))
	case at == 8:
		s.does("set", teamName, "mode="+oneOf(s, []string{"elb", "active-backup", "xor", "round-robin"}))
	}
}

// does runs a verb, which may be killed on its way.
func (s *sequence) does(args ...string) {
	s.note("%s", strings.Join(args, " "))
	if s.rnd.IntN(4) > 0 || args[0] == "set" {
		if r := s.try(args...); r.Code != 0 {
			s.note("  exit %d: %s", r.Code, strings.ReplaceAll(r.Err, "\n", "; "))
		}
		return
	}
	n := 1 + s.rnd.IntN(60)
	died, r := s.dieAt(n, func() result { return s.try(args...) })
	s.note("  to be killed at change %d: %v, exit %d: %s", n, died, r.Code, strings.ReplaceAll(r.Err, "\n", "; "))
}

// ends is does for what ends a team.
func (s *sequence) ends(args ...string) {
	s.moved = s.moved || len(s.cut) > 0
	if args[0] == "delete" {
		s.does(args...)
		return
	}
	s.note("%s", strings.Join(args, " "))
	s.nicteam(args...)
}

// cable takes a cable out or puts it back.
func (s *sequence) cable() {
	nic := oneOf(s, nics(3))
	s.note("cable of %s: out %v", nic, !s.cut[nic])
	if s.cut[nic] {
		labtest.Must(s.t, s.cables[nic].Mend())
		delete(s.cut, nic)
		return
	}
	if len(s.linked()) > 1 {
		labtest.Must(s.t, s.cables[nic].Cut())
		s.cut[nic] = true
	}
}

// others add an address or a route, or take one of theirs away.
func (s *sequence) others() {
	for what := range s.theirs {
		if s.rnd.IntN(2) == 0 {
			s.note("others take away %s", what)
			s.takeAway(what)
			return
		}
		break
	}
	s.n++
	what, dev := fmt.Sprintf("route 10.%d.0.0/16", 50+s.n), ""
	if s.rnd.IntN(2) == 0 {
		what = fmt.Sprintf("address 10.9.0.%d/24", 100+s.n)
	}
	// Where the address of box is that they use, as people do.
	f := strings.Fields(s.sh("ip -o -4 addr show to 10.9.0.1"))
	if len(f) < 2 {
		s.t.Errorf("10.9.0.1 is nowhere")
		return
	}
	dev = f[1]
	kind, value, _ := strings.Cut(what, " ")
	if kind == "address" {
		s.note("others add %s to %s", what, dev)
		s.sh("ip addr add " + value + " dev " + dev)
	} else {
		s.note("others add %s by %s", what, dev)
		if s.cut[dev] {
			return
		}
		s.sh("ip route add " + value + " via 10.9.0.2 dev " + dev)
	}
	s.theirs[what] = true
}

// takeAway removes what others made, wherever it is now; it must be there once.
func (s *sequence) takeAway(what string) {
	kind, value, _ := strings.Cut(what, " ")
	delete(s.theirs, what)
	if kind == "route" {
		if out := s.sh("ip route show " + value); strings.Count(out, "\n") != 1 {
			s.t.Errorf("%s is there as %q", what, out)
		}
		s.sh("ip route del " + value + " || true")
		return
	}
	out := strings.TrimSpace(s.sh("ip -o -4 addr show to " + strings.TrimSuffix(value, "/24")))
	if f := strings.Fields(out); len(f) < 2 || strings.Contains(out, "\n") {
		s.t.Errorf("%s is there as %q", what, out)
	} else {
		s.sh("ip addr del " + value + " dev " + f[1])
	}
}

// end ends what is left with all cables in and judges.
func (s *sequence) end() {
	for nic := range s.cut {
		labtest.Must(s.t, s.cables[nic].Mend())
	}
	clear(s.cut)
	if s.members() != nil {
		s.note("at last: delete")
		s.await("links", func(st *team.Status) bool {
			return !slices.ContainsFunc(st.Members, func(m team.MemberStatus) bool { return !m.Link })
		})
		s.nicteam("delete", teamName)
	}
	if s.left() {
		s.note("at last: restore")
		s.nicteam("restore", teamName)
	}
	for _, what := range sortedKeys(s.theirs) {
		s.takeAway(what)
	}
	for _, a := range []string{"10.9.0.1", "10.9.0.11", "10.8.0.1", "fd09::1"} {
		if out := strings.TrimSpace(s.sh("ip -o addr show to " + a)); out == "" || strings.Contains(out, "\n") {
			s.t.Errorf("%s is there as %q", a, out)
		}
	}
	labtest.Eventually(s.t, "box answers", func() bool {
		return s.peer.Command("ping", "-c1", "-W1", "10.9.0.1").Run() == nil && s.peer.Command("ping", "-c1", "-W1", "fd09::1").Run() == nil
	})
	if !s.moved {
		s.same("in the end", s.before)
		return
	}
	// The addresses, and what goes with them, may be on other NICs.
	rest := func(l lab.Snapshot) (out lab.Snapshot) {
		for _, line := range l {
			if kind, _, _ := strings.Cut(line, " "); kind != "address" && kind != "route" && kind != "neighbour" {
				out = append(out, line)
			}
		}
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	after, err := lab.SettledSnapshot(ctx, s.box)
	labtest.Must(s.t, err)
	for end := time.Now().Add(carrierTime); time.Now().Before(end) && lab.Diff(rest(s.before.all), rest(after)) != ""; {
		after, err = lab.SettledSnapshot(ctx, s.box)
		labtest.Must(s.t, err)
	}
	if d := lab.Diff(rest(s.before.all), rest(after)); d != "" {
		s.t.Errorf("box is not as it was:\n%s", d)
	}
	if _, err := os.Stat(s.box.Path("/var/lib/nicteam/" + teamName + ".journal")); err == nil {
		s.t.Error("a journal is left")
	}
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
