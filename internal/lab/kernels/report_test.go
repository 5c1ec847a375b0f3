// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/lab/vm"
)

// spoken is what a guest tells, between what its tests write.
func spoken(t *testing.T, parts ...any) *reader {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case vm.Event:
			vm.WriteEvent(&b, p)
		case string:
			b.WriteString(p)
		}
	}
	r := &reader{out: new(strings.Builder)}
	if err := r.read(&b); err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	kernelRuns = vm.Event{Kind: vm.KernelIs, Text: "6.1.0-1-amd64 #1 SMP"}
	began      = vm.Event{Kind: vm.Begin, Text: "internal/a"}
	ended      = vm.Event{Kind: vm.End, Package: "internal/a", Seconds: 1.5}
	done       = vm.Event{Kind: vm.Done}
)

func TestVerdict(t *testing.T) {
	bad := ended
	bad.Code, bad.Text = 2, "exit status 2"
	const ok = "=== RUN   TestX\n--- PASS: TestX (0.01s)\nPASS\n"
	tests := []struct {
		name  string
		parts []any
		want  string // in the error; empty: none
	}{
		{"all is well", []any{kernelRuns, began, ok, ended, done}, ""},
		{"a line without its end comes before the end", []any{kernelRuns, began, ok + "rest", ended, done}, ""},
		{"nothing", nil, "did not come to run"},
		{"cut off", []any{kernelRuns, began, ok}, "ended before"},
		{"switched off between packages", []any{kernelRuns, began, ok, ended}, "ended before"},
		{"package that never ran", []any{kernelRuns, done}, "failed on 6.1.0-1-amd64: internal/a"},
		{"no test", []any{kernelRuns, began, "testing: warning: no tests to run\nPASS\n", ended, done}, "internal/a"},
		{"failed test", []any{kernelRuns, began,
			"=== RUN   TestX\n    a_test.go:1: no\n--- FAIL: TestX (0.01s)\nFAIL\n", bad, done}, "internal/a"},
		{"failed test and a good code", []any{kernelRuns, began, "--- FAIL: TestX (0.01s)\n", ended, done}, "failed"},
		{"panic", []any{kernelRuns, began, ok + "panic: test timed out\n", bad, done}, "internal/a"},
		{"trouble", []any{kernelRuns, vm.Event{Kind: vm.Trouble, Text: "mount /sys: no"}, done}, "mount /sys: no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := spoken(t, tt.parts...).verdict([]string{"internal/a"})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatIsShown(t *testing.T) {
	bad := ended
	bad.Code, bad.Text = 1, "exit status 1"
	r := spoken(t, kernelRuns, began,
		"=== RUN   TestGood\n    a_test.go:1: words of no interest\n--- PASS: TestGood (0.01s)\n    --- PASS: "+
			"TestGood/part (0.01s)\n",
		"=== RUN   TestLacks\n    a_test.go:2: needs tea\n--- SKIP: TestLacks (0.00s)\n",
		"=== RUN   TestBad\r\n=== RUN   TestBad/one\n    a_test.go:3: is 1, want 2\n--- FAIL: TestBad (0.02s)\n "+
			"   --- FAIL: TestBad/one (0.01s)\nFAIL\n",
		bad, done)
	want := strings.TrimPrefix(`
kernel 6.1.0-1-amd64 #1 SMP
internal/a
--- PASS: TestGood (0.01s)
--- SKIP: TestLacks (0.00s) a_test.go:2: needs tea
=== RUN   TestBad/one
    a_test.go:3: is 1, want 2
--- FAIL: TestBad (0.02s)
    --- FAIL: TestBad/one (0.01s)
FAIL	nicteam/internal/a	1.5s	exit status 1
`, "\n")
	if d := cmp.Diff(want, r.out.(*strings.Builder).String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if r.passed != 1 || r.failed != 1 || len(r.skipped) != 1 {
		t.Errorf("%d passed, %d failed, skipped %q", r.passed, r.failed, r.skipped)
	}
}
