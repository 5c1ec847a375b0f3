// SPDX-License-Identifier: MIT

package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nicteam/internal/settings"
)

// TestBrief: what people read says the same as what the team writes.
func TestBrief(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		text, err := Brief(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(c, got, same); d != "" {
			t.Fatalf("(-want +got):\n%s\n%s", d, text)
		}
	})
}

// TestParseFor: a file need not name its team, and must not name another one.
func TestParseFor(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no name", "members: [eth1]\n", ""},
		{"its name", "team: team0\nmembers: [eth1]\n", ""},
		{"another name", "\nteam: team1\nmembers: [eth1]\n", "f.yaml:2: team: want team0, got team1"},
		{"no NIC", "mode: xor\n", "f.yaml:1: members: no NIC given"},
		{"empty", "", "f.yaml:1: members: no NIC given"},
		{"a fault", "members: [eth1]\nmtu: 1\n", "f.yaml:2: mtu: 1 is out of range"},
		{"no YAML", "members: [", "f.yaml:1: cannot be read"},
	} {
		c, err := ParseFor("team0", "f.yaml", tt.text)
		switch {
		case tt.want == "" && (err != nil || c.Team != "team0"):
			t.Errorf("%s: team %q, %v", tt.name, c.Team, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestWriteEdited: the text is written as it is if it says the same, else with what differs changed.
func TestWriteEdited(t *testing.T) {
	const text = "# mine\nmembers: [eth1] # one\nmode: xor"
	c, err := ParseFor("team0", "", text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "team0.yaml")
	check := func(c settings.Config, want string) {
		t.Helper()
		if err := WriteEdited(path, text, c); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadText(path); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	check(c, text)
	c.MTU = 1400
	check(c, text+"\nteam: team0\nmtu: 1400\n")
	if Digest(text) == Digest(text+"\n") || !strings.HasPrefix(Digest(""), "sha256:e3b0c442") {
		t.Error("digest", Digest(""))
	}
}

// TestUpdateKeepsWhatNamesNoTeam: a file that does not name its team keeps its comments.
func TestUpdateKeepsWhatNamesNoTeam(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.yaml")
	if err := WriteText(path, "# mine\nmembers: [eth1]\n"); err != nil {
		t.Fatal(err)
	}
	c := settings.DefaultConfig()
	c.Team, c.Members, c.MTU = "team0", []settings.MemberConfig{settings.DefaultMember("eth1")}, 1400
	if err := Update(path, c); err != nil {
		t.Fatal(err)
	}
	if got, _ := ReadText(path); got != "# mine\nmembers: [eth1]\nteam: team0\nmtu: 1400\n" {
		t.Errorf("%q", got)
	}
}
