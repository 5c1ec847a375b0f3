// SPDX-License-Identifier: MIT

package labtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// victimVariable makes TestVictim end in a certain way.
const victimVariable = "NICTEAM_TEST_VICTIM"

// TestVictim is no test; TestApart runs it.
func TestVictim(t *testing.T) {
	how := os.Getenv(victimVariable)
	if how == "" {
		t.Skip("TestApart runs it")
	}
	if os.Getenv(apartVariable) == "" {
		t.Cleanup(func() {
			if exec.Command("ip", "link", "show", "apart0").Run() == nil {
				t.Error("the copy's link is here")
			}
		})
	}
	t.Run("a b", func(t *testing.T) {
		if !Apart(t) {
			return
		}
		switch how {
		case "fail":
			t.Error("as asked for")
		case "skip":
			t.Skip("as asked for")
		case "exit":
			os.Exit(0)
		case "add a link":
			out, err := exec.Command("ip", "link", "add", "apart0", "type", "veth").CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	})
}

// TestApart ends copies in each way, and sees the test end so.
func TestApart(t *testing.T) {
	Root(t)
	Tool(t, "ip", "iproute2")
	for how, want := range map[string]string{
		"pass": "--- PASS: TestVictim/a_b (", "fail": "--- FAIL: TestVictim/a_b (",
		"skip": "--- SKIP: TestVictim/a_b (",
		"exit": "--- FAIL: TestVictim/a_b (", "add a link": "--- PASS: TestVictim/a_b (",
	} {
		t.Run(how, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestVictim$", "-test.v")
			c.Env = append(os.Environ(), victimVariable+"="+how)
			out, err := c.CombinedOutput()
			failed := err != nil
			// The copy's own lines are within.
			if last := string(out[strings.LastIndex(string(out), "--- "):]); failed != strings.Contains(want, "FAIL") ||
				!strings.HasPrefix(last, want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
