// SPDX-License-Identifier: MIT

package importer

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/api"
	"nicteam/internal/config"
)

var update = flag.Bool("update", false, "write testdata/*/want.txt and the tables of docs/import.md anew")

// sources are what testdata has, written after the documentation of each format: what is imported of it, and which of
// several bonds.
var sources = []struct{ path, team, format string }{
	{"teamd-activebackup/team0.conf", "", "teamd"},
	{"teamd-lacp/team0.conf", "", "teamd"},
	{"teamd-loadbalance/team1.json", "", "teamd"},
	{"netplan/50-bond.yaml", "", "netplan"},
	{"netplan-dir", "bond0", "netplan"},
	{"interfaces", "", "interfaces"},
	{"interfaces-members/interfaces", "", "interfaces"},
	{"ifcfg/ifcfg-bond0", "", "ifcfg"},
	{"ifcfg-team", "", "ifcfg"},
	{"ifcfg-suse", "", "ifcfg"},
	{"keyfile/bond0.nmconnection", "", "keyfile"},
	{"keyfile-team", "", "keyfile"},
}

// TestSources: of every format a configuration that create takes, and a note with its place for all that has no equal.
func TestSources(t *testing.T) {
	for _, s := range sources {
		t.Run(s.path, func(t *testing.T) {
			list, format, err := ReadFile(filepath.Join("testdata", s.path), "")
			if err != nil {
				t.Fatal(err)
			}
			if format != s.format {
				t.Errorf("format %s, want %s", format, s.format)
			}
			b := list[0]
			for _, other := range list {
				if other.Name == s.team {
					b = other
				}
			}
			made, err := Convert(b)
			if err != nil {
				t.Fatal(err)
			}
			text := yamlOf(t, made)
			var got strings.Builder
			got.WriteString(text)
			for _, n := range made.Notes {
				got.WriteString("# " + strings.ReplaceAll(NoteText(n), "testdata/", "") + "\n")
				checkPlace(t, n)
			}
			dir, _, _ := strings.Cut(s.path, "/")
			compare(t, filepath.Join("testdata", dir, "want.txt"), got.String())
		})
	}
}

// yamlOf is the YAML of a result. What it says is what was made, and create takes it.
func yamlOf(t *testing.T, made *Result) string {
	t.Helper()
	text, err := config.Brief(made.Config)
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("f.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	same := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
	if d := cmp.Diff(made.Config, again, same); d != "" {
		t.Errorf("the YAML says something else:\n%s", d)
	}
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Options{Path: path, New: true}); err != nil {
		t.Errorf("create does not take it: %v", err)
	}
	return text
}

// checkPlace: the line that a note names has the key or the value.
func checkPlace(t *testing.T, n api.ImportNote) {
	t.Helper()
	b, err := os.ReadFile(n.File)
	if err != nil {
		t.Errorf("note %+v: %v", n, err)
		return
	}
	lines := strings.Split(string(b), "\n")
	if n.Line < 1 || n.Line > len(lines) {
		t.Errorf("note %+v: %d lines", n, len(lines))
		return
	}
	last := n.Key[strings.LastIndexByte(n.Key, '.')+1:]
	value, _, _ := strings.Cut(strings.ReplaceAll(n.Value, ",", " "), " ")
	near := strings.Join(lines[n.Line-1:min(n.Line+1, len(lines))], "\n")
	if !strings.Contains(near, last) && (value == "" || !strings.Contains(near, value)) {
		t.Errorf("note %+v: the line is %q", n, near)
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s, with -update it is written anew:\n%s", path, d)
	}
}

// TestRefused: what cannot be read is an error that names its place.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, text, want string }{
		{"prose.txt", "Dear reader,\n", "it is none of the formats"},
		{"empty.txt", "", "it is none of the formats"},
		{"bad.json", "{\n\"runner\": }", "bad.json:2: cannot be read"},
		{"list.json", "{\"ports\": []}", "list has no members"},
		{"bad.yaml", "network:\n  bonds: [", "bad.yaml:"},
		{"none.yaml", "network:\n  version: 2\n", "it has no bond and no team (read as netplan)"},
		{"lonely.yaml", "network:\n  bonds:\n    bond0: {}\n", "bond0 has no members"},
		{"interfaces", "auto lo\niface lo inet loopback\n", "it has no bond and no team (read as interfaces)"},
		{"ifcfg-eth0", "DEVICE=eth0\n", "it has no bond and no team (read as ifcfg)"},
		{"bad.nmconnection", "[connection]\nno value\n", "bad.nmconnection:2: cannot be read"},
		{"long.yaml", "network:\n  bonds:\n    a-name-that-is-too-long: {interfaces: [eth1]}\n", "long.yaml:3: "},
		{"zero.conf", "{\x00}", "it is no text"},
		{"latin1.conf", "# \xfcber den Switch\niface bond0 inet manual\n bond-slaves eth1 eth\xfc\n", ""},
		{"many.yaml", "network:\n  bonds:\n    bond0: {interfaces: [" + strings.Repeat("eth1,", 70) + "]}\n", ""},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, _, err := ReadFile(path, "")
		for _, b := range list {
			_, err = Convert(b)
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		_ = os.Remove(path)
	}
	_, _, err := ReadFile(filepath.Join(dir, "nowhere"), "")
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	if _, _, err := ReadFile(dir, ""); err == nil {
		t.Error("an empty directory is no error")
	}
}
