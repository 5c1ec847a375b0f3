// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"nicteam/internal/settings"
)

// TestTables: each option has a setting, or a note that says why not; keys are unique; settings exist.
func TestTables(t *testing.T) {
	for name, table := range map[string][]Option{"bonding": Bonding, "teamd": Teamd, "network": Network} {
		seen := map[string]bool{}
		for _, o := range table {
			if seen[o.Key] {
				t.Errorf("%s: %s is there twice", name, o.Key)
			}
			seen[o.Key] = true
			key, _, _ := strings.Cut(o.Setting, ".")
			switch {
			case o.Setting == "" && o.Note == "":
				t.Errorf("%s: %s has no equal, and nothing is said of it", name, o.Key)
			case o.Setting != "" && settings.Find(key) == nil:
				t.Errorf("%s: %s is %s, and there is no such setting", name, o.Key, o.Setting)
			}
		}
	}
	// Every name of bonding that settings know is one that import knows.
	for i := range settings.Table {
		for _, name := range settings.Table[i].KernelNames() {
			if o := find(Bonding, name); o == nil && name != "bond" && name != "slaves" {
				t.Errorf("bonding: %s is %s, and import does not know it", name, settings.Table[i].Key)
			}
		}
	}
}

// TestDocument holds docs/import.md against the tables.
func TestDocument(t *testing.T) {
	const file = "../../docs/import.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, table := range []struct {
		name string
		rows []Option
	}{{"bonding", Bonding}, {"teamd", Teamd}, {"network", Network}} {
		begin, end := fmt.Sprintf("<!-- %s -->\n", table.name), fmt.Sprintf("<!-- end of %s -->\n", table.name)
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ended := strings.Cut(rest, end)
		if !ok || !ended {
			t.Fatalf("%s has no table of %s", file, table.name)
		}
		text = head + begin + "\n" + markdown(table.rows) + "\n" + end + tail
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if text != string(b) {
		t.Errorf("%s differs from the tables: go test ./internal/importer -update", file)
	}
}

// markdown is a table of options.
func markdown(rows []Option) string {
	var b strings.Builder
	netplan := false
	for _, o := range rows {
		netplan = netplan || o.Netplan != ""
	}
	b.WriteString("| option |")
	if netplan {
		b.WriteString(" netplan |")
	}
	b.WriteString(" setting | |\n|---|")
	if netplan {
		b.WriteString("---|")
	}
	b.WriteString("---|---|\n")
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	for _, o := range rows {
		b.WriteString("| " + code(o.Key) + " |")
		if netplan {
			b.WriteString(" " + code(o.Netplan) + " |")
		}
		setting, text := code(o.Setting), o.Note
		if setting == "" {
			setting = "none"
		}
		if len(o.Same) > 0 && o.Setting == "" {
			text += " (no note: " + strings.Join(o.Same, ", ") + ")"
		}
		fmt.Fprintf(&b, " %s | %s |\n", setting, text)
	}
	return b.String()
}
