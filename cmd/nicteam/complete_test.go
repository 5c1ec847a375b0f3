// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
)

// TestEveryPlaceHasACompleter: somebody has decided for each argument and each flag what completes it, also for those
// that nothing does. A new one that this test names is found by the word for it in help: see completers.
func TestEveryPlaceHasACompleter(t *testing.T) {
	used := map[string]bool{}
	use := func(cmd *cobra.Command, names ...string) {
		for _, name := range names {
			if _, ok := completers[cmd.Name()+" "+name]; ok {
				used[cmd.Name()+" "+name] = true
				return
			}
			if _, ok := completers[name]; ok {
				used[name] = true
				return
			}
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		words, _ := arguments(cmd)
		for _, w := range words {
			if argumentCompleter(cmd, w) == nil {
				t.Errorf("%s: nothing says how its argument %s is completed", cmd.CommandPath(), w)
			}
			use(cmd, w)
		}
		cmd.InitDefaultHelpFlag()
		visitFlags(cmd, func(f *pflag.Flag) {
			if flagCompleter(cmd, f) == nil {
				t.Errorf("%s: nothing says how the value of --%s is completed", cmd.CommandPath(), f.Name)
			}
			value, _ := pflag.UnquoteUsage(f)
			use(cmd, "--"+f.Name, value)
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
	for name := range completers {
		if !used[name] {
			t.Errorf("%q completes nothing", name)
		}
	}

	// The test can fail.
	odd := &cobra.Command{Use: "odd THING"}
	odd.Flags().String("thing", "", "something")
	if argumentCompleter(odd, "THING") != nil || flagCompleter(odd, odd.Flags().Lookup("thing")) != nil {
		t.Error("what nobody has decided on has a completer")
	}
}

// completed is what a shell is told.
type completed struct {
	words []string
	what  map[string]string
	hint  string
	shell cobra.ShellCompDirective
}

func askCompletion(t *testing.T, runDir string, args ...string) completed {
	t.Helper()
	var out strings.Builder
	env := []string{"NICTEAM_RUN_DIR=" + runDir, "NICTEAM_STATE_DIR=" + runDir, "NICTEAM_CONFIG_DIR=" + runDir}
	if code := execute(append([]string{cobra.ShellCompRequestCmd}, args...), &out, io.Discard, env); code != 0 {
		t.Fatalf("%v: exit %d", args, code)
	}
	c := completed{what: map[string]string{}}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines[:len(lines)-1] {
		if hint, ok := strings.CutPrefix(line, "_activeHelp_ "); ok {
			c.hint = hint
			continue
		}
		word, what, _ := strings.Cut(line, "\t")
		c.words, c.what[word] = append(c.words, word), what
	}
	n, err := strconv.Atoi(strings.TrimPrefix(lines[len(lines)-1], ":"))
	if err != nil {
		t.Fatalf("%v: %s", args, out.String())
	}
	c.shell = cobra.ShellCompDirective(n)
	return c
}

// TestCompletion of every kind of argument and value.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	for _, team := range []*fakeTeam{{name: "team0", state: "up"}, {name: "lag0", state: "up", mode: "802.3ad"}} {
		stop, err := serveTeam(dir, team)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	exts := cobra.ShellCompDirectiveFilterFileExt
	for _, tt := range []struct {
		line  string // "_" at its end is the cursor behind a space
		want  string // all words; "…" at the end: among others
		what  string // in the description of the last of them, or the hint if there is none
		shell cobra.ShellCompDirective
	}{
		{"status _", "lag0 team0", "active-backup, up: eth1 eth2", noFiles},
		{"delete t", "team0", "active-backup", noFiles},
		{"set _", "lag0 team0", "", noFiles},
		{"restore _", "", "no team has to be restored", noFiles},
		{"confirm _", "", "no change waits", noFiles},
		{"watch _", "lag0 team0 lag0/eth1 lag0/eth2 team0/eth1 team0/eth2", "", noFiles},
		{"watch team0/eth1", "team0/eth1", "up", noFiles},
		{"watch team0 _", "", "", noFiles},
		{"list _", "", "", noFiles},
		{"remove team0 _", "eth1 eth2", "standby", noFiles},
		{"release team0 eth1 _", "eth2", "standby", noFiles},
		{"remove nosuch _", "", "no member of nosuch", noFiles},
		{"set team0 mo", "mode=", "now active-backup", goesOn},
		{"set team0 mode=", "mode=elb mode=round-robin mode=active-backup mode=xor mode=802.3ad mode=broadcast",
			"two networks", noFiles},
		{"set team0 mode=bal", "mode=balance-alb mode=balance-tlb mode=balance-rr mode=balance-xor", "", noFiles},
		{"set team0 mode=xor m", "match= min_members= mtu=", "", goesOn},
		{"set team0 mode=802.3ad lacp_r", "lacp_rate=", "each second", goesOn},
		{"set team0 lacp_r", "", "help settings", goesOn},
		{"set lag0 lacp_r", "lacp_rate=", "each second", goesOn},
		{"set lag0 lacp_rate=", "lacp_rate=slow lacp_rate=fast", "", noFiles},
		{"set nosuch lacp_r", "lacp_rate=", "", goesOn},
		{"set team0 miimon", "miimon=", "bonding's name of link_watch", goesOn},
		{"set team0 arp_interval=", "", "or milliseconds without a unit", noFiles},
		{"set team0 weight.", "weight.eth1= weight.eth2=", "share of a NIC", goesOn},
		{"set team0 weight.eth1=2 wei", "weight.eth2=", "", goesOn},
		{"set team0 weight.eth1=", "", "above 0, at most 1000000 (default 1)", noFiles},
		{"set team0 primary=", "primary=eth1 primary=eth2 primary=none", "no NIC", noFiles},
		{"set team0 active=e", "active=eth1 active=eth2", "standby", noFiles},
		{"set team0 balance=", "balance=on balance=off", "", noFiles},
		{"set team0 up_delay=", "", "0s to 1h (default 0s)", noFiles},
		{"set team0 link_watch=", "link_watch=auto link_watch=carrier link_watch=gateway link_watch=probe " +
			"link_watch=arp: link_watch=nd:", "neighbour discovery", goesOn},
		{"set team0 link_watch=gateway,pro", "link_watch=gateway,probe", "frames between the members", goesOn},
		{"set team0 link_watch=probe,pro", "", "", goesOn},
		{"set team0 mac=", "", "not a setting that can be changed", noFiles},
		{"set team0 nonsense=", "", "not a setting", noFiles},
		{"create _", "team1", "free", noFiles},
		{"create team7 eth1 eth2 --lacp-rate _", "slow fast", "", noFiles},
		{"create team7 eth1 eth2 --mode=ro", "round-robin", "static LAG", noFiles},
		{"create team7 eth1 eth2 --primary _", "eth1 eth2 none", "", noFiles},
		{"create team7 eth1 eth2 --weight _", "eth1= eth2=", "", goesOn},
		{"create team7 eth1 eth2 --mode elb --weight eth1=2 --we", "--weight", "share",
			cobra.ShellCompDirectiveNoFileComp},
		{"create team7 eth1 eth2 --mode elb --mo", "", "", cobra.ShellCompDirectiveNoFileComp},
		{"create team7 eth1 eth2 --weight eth1=", "", "share of a NIC", noFiles},
		{"create team7 eth1 eth2 --address _", "auto dhcp none", "", noFiles},
		{"create team7 eth1 eth2 --arp-ip-target _", "", "arp_ip_target", noFiles},
		{"create team7 eth1 eth2 --tso _", "auto on off", "", noFiles},
		{"create --config _", "yaml yml toml json", "", exts},
		{"apply -f _", "yaml yml toml json", "", exts},
		{"apply _", "", "", noFiles},
		{"export team0 -o _", "", "", files},
		{"export team0 --format _", "svg png csv json md", "", noFiles},
		{"export team0 --unit _", "auto packets kbit mbit gbit", "", noFiles},
		{"watch team0 --glyphs _", "braille block ascii", "", noFiles},
		{"watch team0 --last _", "", "the period to show", noFiles},
		{"demo --picture _", "svg png", "", exts},
		{"import --format _", "teamd netplan interfaces ifcfg keyfile", "", noFiles},
		{"import /etc/n", "", "", files},
		{"man _", "", "", cobra.ShellCompDirectiveFilterDirs},
		{"list --run-dir _", "", "", cobra.ShellCompDirectiveFilterDirs},
		{"explain team0 _", "", "tcp 10.0.0.1:5000 10.0.0.2:80", noFiles},
		{"explain team0 tcp 10.0.0.1:1 _", "", "a flow", noFiles},
		{"completion _", "bash zsh fish powershell", "", noFiles},
		{"help lin", "link_watch", "setting", noFiles},
		{"help miim", "miimon", "bonding's name of link_watch", noFiles},
		{"help watc", "watch watches watch_policy", "", noFiles},
		{"nonsense _", "", "", noFiles},
	} {
		words := strings.Fields(tt.line)
		if words[len(words)-1] == "_" {
			words[len(words)-1] = ""
		}
		got := askCompletion(t, dir, words...)
		if d := cmp.Diff(strings.Fields(tt.want), got.words); d != "" && tt.want+strings.Join(got.words, "") != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, d)
			continue
		}
		what := got.hint
		if n := len(got.words); n > 0 {
			what = got.what[got.words[n-1]]
		}
		if !strings.Contains(what, tt.what) {
			t.Errorf("%s: %q, want %q in it", tt.line, what, tt.what)
		}
		if got.shell != tt.shell {
			t.Errorf("%s: the shell is told %b, want %b", tt.line, got.shell, tt.shell)
		}
	}
}

// TestCompletionOfNICs: those that could join, with what they are.
func TestCompletionOfNICs(t *testing.T) {
	nics := []api.ListedNIC{
		{Name: "eth0", Driver: "igc", Up: true, Link: true, SpeedBps: 25e8, Addresses: []string{"10.0.0.5/24"}},
		{Name: "eth1", Driver: "e1000e", Up: true}, {Name: "veth0", Kind: "veth", Link: true, Up: true}, {Name: "eth9"}}
	g := &launch.Glimpse{NICs: nics, Free: nics}
	got := completeFreeNIC(&place{given: []string{"team0", "eth1"}, glimpse: g})
	want := []string{"eth0\tigc, 2.5 Gbit/s, 10.0.0.5/24", "veth0\tveth, link up", "eth9\tdisabled"}
	if d := cmp.Diff(want, got.words); d != "" || got.shell != noFiles {
		t.Errorf("(-want +got):\n%s", d)
	}
	g.Status = map[string]*api.Status{"team0": {Members: []api.Member{{Name: "eth1", State: "down"}}}}
	g.Teams = []api.ListedTeam{{Name: "team0", Members: []string{"eth0", "eth1"}}}
	got = completeMember(&place{given: []string{"team0"}, glimpse: g})
	want = []string{"eth0\tigc, 2.5 Gbit/s, 10.0.0.5/24", "eth1\tdown, e1000e, no carrier"}
	if d := cmp.Diff(want, got.words); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	bond := &launch.Glimpse{NICs: []api.ListedNIC{{Name: "bond0", Kind: "bond"}, {Name: "eth0"}}}
	got = completeSource(&place{glimpse: bond})
	if d := cmp.Diff([]string{"bond0\ta bond that runs"}, got.words); d != "" || got.shell != files {
		t.Errorf("sources (-want +got):\n%s", d)
	}
}

// TestCompletionDoesNotWait: teams that never answer and teams whose process is gone are named at once.
func TestCompletionDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hangs", "hangs2", "gone"} {
		l, err := net.Listen("unix", filepath.Join(dir, name+".sock"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "gone" {
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			_ = l.Close()
			continue
		}
		defer func() { _ = l.Close() }()
	}
	begin := time.Now()
	got := askCompletion(t, dir, "delete", "")
	// A client waits for 3 s; a busy machine takes its time.
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if d := cmp.Diff([]string{"gone", "hangs", "hangs2"}, got.words); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got.what["hangs"] != "no answer" || got.what["gone"] != "not running" {
		t.Errorf("it says %v", got.what)
	}
}

// TestCompletionScripts: what is mended in cobra's script for bash is there once.
func TestCompletionScripts(t *testing.T) {
	var script strings.Builder
	if err := (&app{}).root().GenBashCompletionV2(&script, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range escapedCommas {
		if n := strings.Count(script.String(), c.was); n != 1 {
			t.Errorf("cobra's script has %q %d times", c.was, n)
		}
	}
	for _, shell := range shells {
		var out strings.Builder
		if code := execute([]string{"completion", shell}, &out, io.Discard, nil); code != 0 ||
			!strings.Contains(out.String(), cobra.ShellCompRequestCmd) {
			t.Errorf("%s: exit %d, %d bytes", shell, code, out.Len())
		}
	}
}

// TestWordsAreValues: the words that complete a flag are taken by it.
func TestWordsAreValues(t *testing.T) {
	var e exportFlags
	for _, f := range []struct {
		cmd  *cobra.Command
		flag string
	}{{(&app{}).exportCmd(), "format"}, {(&app{}).exportCmd(), "unit"}, {(&app{}).exportCmd(), "view"},
		{(&app{}).exportCmd(), "scale"}} {
		w, ok := f.cmd.Flags().Lookup(f.flag).Value.(*wordFlag)
		if !ok || len(w.words) < 3 {
			t.Fatalf("--%s has no words", f.flag)
		}
		for _, word := range w.words {
			e = exportFlags{file: "x.svg"}
			e.picture.Unit, e.picture.View, e.picture.Scale = "auto", "nic", "fit"
			*map[string]*string{"format": &e.format, "unit": &e.picture.Unit, "view": &e.picture.View,
				"scale": &e.picture.Scale}[f.flag] = word
			if err := e.settle(); err != nil {
				t.Errorf("--%s %s: %v", f.flag, word, err)
			}
		}
	}
	v := watchFlags{words: standardWords()}
	for _, word := range []string{"braille", "block", "ascii"} {
		v.words.Glyphs = word
		if _, err := v.options(&app{}); err != nil {
			t.Errorf("--glyphs %s: %v", word, err)
		}
	}
	for i := range settings.Table {
		s := &settings.Table[i]
		for w := range s.Says {
			if !slices.Contains(append(slices.Clone(s.Words), s.Stems...), w) {
				t.Errorf("%s: %q is said to mean something, and is no word of it", s.Key, w)
			}
		}
		for _, w := range s.Others {
			c := settings.DefaultConfig()
			if f := s.Set(&c, w); f != nil {
				t.Errorf("%s=%s: %v", s.Key, w, f)
			}
		}
	}
}
