// SPDX-License-Identifier: MIT

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nicteam/internal/settings"
	"nicteam/modes"
)

const written = `# The office's uplink.
---
team: team0   # as in the inventory

members:
  # to the core switch
  - eth1
  - name: eth2  # slow
    weight: 2
  # end of the list

mode: bond0123
up_delay: "2s"  # the switch is slow

# Last line.
`

// TestUpdate changes what differs, and nothing else.
func TestUpdate(t *testing.T) {
	text := strings.Replace(written, "bond0123", "balance-xor", 1)
	for _, tt := range []struct {
		name     string
		change   func(*settings.Config)
		from, to string // of the text, in pairs with |
	}{
		{"nothing", func(*settings.Config) {}, "", ""},
		{"a value", func(c *settings.Config) { c.UpDelay = 3e9 }, `up_delay: "2s"  # the`, `up_delay: 3s # the`},
		{"a mode", func(c *settings.Config) { c.Mode = parseMode(t, "elb") }, "mode: balance-xor", "mode: elb"},
		{"one more", func(c *settings.Config) { c.MinMembers = 2 }, "# Last line.\n", "# Last line.\nmin_members: 2\n"},
		{"back to a default", func(c *settings.Config) { c.UpDelay = 0 }, `up_delay: "2s"  # the`,
			`up_delay: 0s # the`},
		{"a NIC less", func(c *settings.Config) { c.Members = c.Members[1:] },
			"  # to the core switch\n  - eth1\n  - name: eth2  # slow", "  - name: eth2 # slow"},
		{"a NIC more", func(c *settings.Config) { c.Members = append(c.Members, settings.DefaultMember("eth3")) },
			"eth2  # slow\n    weight: 2\n", "eth2 # slow\n    weight: 2\n  - name: eth3\n    weight: 1\n"},
		{"a weight", func(c *settings.Config) { c.Members[0].Weight = 5 },
			"  - eth1\n  - name: eth2  # slow", "  - name: eth1\n    weight: 5\n  - name: eth2 # slow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "team0.yaml", text)
			l, err := Load(Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			c := l.Config
			c.Members = append([]settings.MemberConfig(nil), c.Members...)
			tt.change(&c)
			if err := Update(path, c); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Replace(text, tt.from, tt.to, 1), string(b)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func parseMode(t *testing.T, s string) (kind modes.Kind) {
	c := settings.DefaultConfig()
	if f := settings.Find("mode").Set(&c, s); f != nil {
		t.Fatal(f)
	}
	return c.Mode
}

// TestUpdateSaysWhatIsMeant: whatever a file says, afterwards it says the new configuration, and has its comments.
func TestUpdateSaysWhatIsMeant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.yaml")
	rapid.Check(t, func(t *rapid.T) {
		was, c := anyConfig(t), anyConfig(t)
		if err := Save(path, was); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var with []string
		comments := 0
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, " ") && rapid.Bool().Draw(t, "comment") {
				with = append(with, "# comment\n")
				comments++
			}
			if rapid.IntRange(0, 9).Draw(t, "line") > 0 || !isDefaultLine(line) {
				with = append(with, line)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Join(with, "")), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := Update(path, c); err != nil {
			t.Fatal(err)
		}
		got, err := Load(Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got.Config, same); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		if b, err = os.ReadFile(path); err != nil || strings.Count(string(b), "# comment\n") != comments {
			t.Fatalf("%d comments have become (%v)\n%s", comments, err, b)
		}
	})
}

// isDefaultLine reports whether a line can be left out of a file.
func isDefaultLine(line string) bool {
	return strings.HasPrefix(line, "gro: auto") || strings.HasPrefix(line, "damping: true")
}

// TestUpdateOfOtherFiles: what cannot be edited is written anew.
func TestUpdateOfOtherFiles(t *testing.T) {
	c := with(func(*settings.Config) {})
	for _, text := range []string{"{team: team0, members: [eth1]}", "no: [such", "mode: nonsense\n", "",
		"# only a comment\n", "team: a\n...\n"} {
		path := write(t, "team0.yaml", text)
		if err := Update(path, c); err != nil {
			t.Fatal(err)
		}
		got, err := Load(Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got.Config, same); d != "" {
			t.Errorf("%q: (-want +got):\n%s", text, d)
		}
	}
}

func FuzzUpdate(f *testing.F) {
	f.Add(strings.Replace(written, "bond0123", "xor", 1))
	f.Add("members: [eth1, {name: eth2, weight: 3}]\r\nmode: elb\r\n")
	f.Add("members: eth1, eth2\n# x\n\nmtu: 9000\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := with(func(c *settings.Config) { c.MinMembers = 2 })
		out, ok := updated(text, &c)
		if !ok {
			return
		}
		if got, err := Parse("", out); err != nil || !sameSettings(&got, &c) {
			t.Errorf("%q became %q", text, out)
		}
	})
}
