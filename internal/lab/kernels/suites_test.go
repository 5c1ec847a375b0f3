// SPDX-License-Identifier: MIT

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = suite{
	Package: "internal/a",
	Only:    []string{"TestA", "TestB"},
	Skip: []skipped{
		{Why: "old", Below: "6.2", Tests: []string{"TestB"}},
		{Why: "slow", Tests: []string{"TestC/^(one|two)$"}},
	},
	Quick: []string{"TestA"},
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name, release string
		quick         bool
		run           string
		want          []string
	}{
		{name: "new", release: "6.18.44", want: []string{"-test.run=^TestA$|^TestB$",
			"-test.skip=^TestC$/^(one|two)$"}},
		{name: "old", release: "6.1.0-56-amd64",
			want: []string{"-test.run=^TestA$|^TestB$", "-test.skip=^TestB$|^TestC$/^(one|two)$"}},
		{name: "older", release: "5.10.0", quick: true,
			want: []string{"-test.run=^TestA$", "-test.skip=^TestB$|^TestC$/^(one|two)$"}},
		{name: "by hand", release: "6.1.0", quick: true, run: "X", want: []string{"-test.run=X"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := append([]string{"-test.v", "-test.timeout=0s"}, tt.want...)
			if d := cmp.Diff(want, example.arguments(tt.release, tt.quick, tt.run)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestTableIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name        string
		have        []string
		unmentioned []string
		ok          bool
	}{
		{"as it is", []string{"TestA", "TestB", "TestC"}, nil, true},
		{"one is gone", []string{"TestA", "TestC"}, nil, false},
		{"one that is left out is gone", []string{"TestA", "TestB"}, nil, false},
		{"a new one", []string{"TestA", "TestB", "TestC", "TestD"}, []string{"TestD"}, true},
	} {
		unmentioned, err := example.check(tt.have)
		if d := cmp.Diff(tt.unmentioned, unmentioned); (err == nil) != tt.ok || d != "" {
			t.Errorf("%s: %v (-want +got)\n%s", tt.name, err, d)
		}
	}
}

func TestEveryoneHasAReason(t *testing.T) {
	for _, s := range suites {
		for _, l := range s.Skip {
			if l.Why == "" || len(l.Tests) == 0 {
				t.Errorf("%s leaves out %v because of %q", s.Package, l.Tests, l.Why)
			}
		}
		if s.Timeout == 0 {
			t.Errorf("%s may take for ever", s.Package)
		}
	}
}
