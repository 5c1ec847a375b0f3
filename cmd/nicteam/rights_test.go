// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryVerbHasRights: the table of who may do what, which TestRights of internal/systest tries, has a line for each
// command.
func TestEveryVerbHasRights(t *testing.T) {
	b, err := os.ReadFile("../../internal/systest/testdata/rights.txt")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{out: io.Discard, err: io.Discard}
	root := a.root()
	tried := map[*cobra.Command]bool{}
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) < 4 || words[3] != "nicteam" {
			t.Fatalf("no line of the table: %s", line)
		}
		c, _, err := root.Find(words[4:])
		if err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(line), err)
			continue
		}
		tried[c] = true
	}
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Runnable() && !tried[c] {
			t.Errorf("who may do %q? internal/systest/testdata/rights.txt has no line for it", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(root)
	if len(tried) < 20 {
		t.Errorf("only %d commands", len(tried))
	}
}
