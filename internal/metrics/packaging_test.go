// SPDX-License-Identifier: MIT

package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	alerts    = "../../packaging/prometheus/alerts.yml"
	dashboard = "../../packaging/grafana/nicteam.json"
	page      = "../../docs/monitoring.md"
)

// TestAlerts has promtool read the rules and play a sick, a full and a healthy team to them.
func TestAlerts(t *testing.T) {
	tool := promtool(t)
	for _, args := range [][]string{{"check", "rules", alerts}, {"test", "rules", "testdata/alerts_test.yml"}} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestEveryAlertIsPlayed: an alert that no test has seen fire may never do.
func TestEveryAlertIsPlayed(t *testing.T) {
	played := read(t, "testdata/alerts_test.yml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, alerts), -1) {
		if !regexp.MustCompile(`alertname: ` + m[1] + `\n +exp_alerts`).MatchString(played) {
			t.Errorf("%s is not seen to fire", m[1])
		}
	}
}

var named = regexp.MustCompile(`\bnicteam_[a-z_]+`)

// TestNamesExist: whatever name is asked for, or written of, is one that is told.
func TestNamesExist(t *testing.T) {
	for _, file := range []string{alerts, dashboard, page} {
		n := 0
		for _, name := range named.FindAllString(read(t, file), -1) {
			n++
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if _, ok := helps[base]; !ok {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
		if n == 0 {
			t.Errorf("%s names nothing", file)
		}
	}
}

// TestPageIsWhole: the page lists all names, and the dashboard leaves none out but a histogram's.
func TestPageIsWhole(t *testing.T) {
	for _, file := range []string{page, dashboard} {
		text := read(t, file)
		for name := range helps {
			if !strings.Contains(text, name) {
				t.Errorf("%s does not have %s", file, name)
			}
		}
	}
}

// queries collects what is asked of Prometheus anywhere in a document.
func queries(v any, found *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "expr" {
				*found = append(*found, s)
			}
			queries(x, found)
		}
	case []any:
		for _, x := range v {
			queries(x, found)
		}
	}
}

// TestDashboard: it is JSON with panels that do not overlap, and promtool can read its queries.
func TestDashboard(t *testing.T) {
	var d struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	var all any
	for _, to := range []any{&d, &all} {
		if err := json.Unmarshal([]byte(read(t, dashboard)), to); err != nil {
			t.Fatal(err)
		}
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Fatalf("%s lies on %s", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
	}
	var found []string
	queries(all, &found)
	if d.UID != "nicteam" || len(found) <= len(d.Panels) {
		t.Errorf("%q with %d queries", d.UID, len(found))
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, q := range found {
		q = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h").Replace(q)
		b, _ := json.Marshal(q) // JSON's strings are YAML's
		rules.WriteString("  - record: q\n    expr: " + string(b) + "\n")
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool(t), "check", "rules", "--lint=none",
		file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
