// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/settings"
)

// plain undoes how roff writes dashes and fonts.
var plain = strings.NewReplacer(`\-`, "-", `\fB`, "", `\fI`, "", `\fR`, "")

func writeManual(t *testing.T, env ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if code := execute([]string{"man", dir}, io.Discard, os.Stderr, env); code != 0 {
		t.Fatalf("exit %d", code)
	}
	return dir
}

func readPage(t *testing.T, dir, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Error(err)
	}
	return plain.Replace(string(b))
}

// TestManualIsComplete: every command that people call has a page with its flags, and every topic, setting and mode is
// in one.
func TestManualIsComplete(t *testing.T) {
	dir := writeManual(t, "SOURCE_DATE_EPOCH=86400")
	root := (&app{}).root()
	main := readPage(t, dir, "man8/nicteam.8")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		switch {
		case c.Hidden:
			return
		case isTopic(c):
			if !inOtherPages[c.Name()] {
				readPage(t, dir, "man7/nicteam-"+c.Name()+".7")
			}
			return
		case c != root:
			name := strings.ReplaceAll(c.CommandPath(), " ", "-")
			page := readPage(t, dir, "man8/"+name+".8")
			for _, part := range []string{`.TH "` + strings.ToUpper(name) + `" 8 "1970-01-02" "nicteam ` + version,
				name + " - ", `.SH "SYNOPSIS"` + "\n" + c.CommandPath()} {
				if !strings.Contains(page, part) {
					t.Errorf("%s(8) lacks %q", name, part)
				}
			}
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && !strings.Contains(page, "--"+f.Name) {
					t.Errorf("%s(8) lacks --%s", name, f.Name)
				}
			})
			if !strings.Contains(main, name+"(8)") {
				t.Errorf("nicteam(8) does not name %s(8)", name)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	file := readPage(t, dir, "man5/nicteam.yaml.5")
	for _, s := range settings.Table {
		if !s.NoFile && !strings.Contains(file, ".TP\n"+s.Key+"\n") {
			t.Errorf("nicteam.yaml(5) lacks %s", s.Key)
		}
	}
	modes := readPage(t, dir, "man7/nicteam-modes.7")
	for _, mode := range settings.Find("mode").Words {
		if !strings.Contains(modes, ".TP\n"+mode+"\n") {
			t.Errorf("nicteam-modes(7) lacks %s", mode)
		}
	}
}

// TestManualIsReproducible: the pages depend on nothing but the program and SOURCE_DATE_EPOCH.
func TestManualIsReproducible(t *testing.T) {
	const date = "SOURCE_DATE_EPOCH=86400"
	a, b := writeManual(t, date), writeManual(t, date, "HOME=/x", "TZ=Asia/Tokyo")
	files, _ := filepath.Glob(a + "/man*/*")
	if len(files) < 20 {
		t.Errorf("%d pages", len(files))
	}
	for _, f := range files {
		name := strings.TrimPrefix(f, a)
		if readPage(t, a, name) != readPage(t, b, name) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestManualRefusesADate(t *testing.T) {
	var said strings.Builder
	if code := execute([]string{"man", t.TempDir()}, io.Discard, &said, []string{"SOURCE_DATE_EPOCH=now"}); code != 2 ||
		!strings.Contains(said.String(), "SOURCE_DATE_EPOCH=now") {
		t.Errorf("exit %d, %s", code, said.String())
	}
}
