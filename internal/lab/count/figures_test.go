// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"nicteam/internal/lab/vm"
)

// boot is the bench's document of a boot in which the plain NIC has a figure, and so has the bond unless it is empty.
func boot(t *testing.T, plain, bond string) document {
	t.Helper()
	row := `{"name":"bond","samples":[` + bond + `],"missing":""}`
	if bond == "" {
		row = `{"name":"bond","samples":null,"missing":"no such module"}`
	}
	d, err := parseDocument(`{"schema":"nicteam.bench/v1","nicteam":"nicteam 1","measures":[{"name":"count-udp-64-out",
		"what":"UDP","unit":"frames/s","cases":[{"name":"plain","samples":[` + plain + `]},` + row + `],
		"ratios":[{"of":"bond","to":"plain","median":1,"samples":[1]}]}],"warnings":["slow"]}`)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// A ratio is of figures of one boot, and its spread is between boots.
func TestCompare(t *testing.T) {
	k := compare("6.1.0-57-amd64 #1 SMP", []document{boot(t, "100000", "50000"), boot(t, "200000", "104000")}, 4)
	if k.Release != "6.1.0-57-amd64" || k.Version != "#1 SMP" || k.Measures[0].Name != "udp-64-out" {
		t.Errorf("%+v", k)
	}
	s := k.Measures[0].subject("bond")
	if !near(s.Ratio, 0.51) || !near(s.Spread, 0.02/0.51) || s.Baseline != "plain" {
		t.Errorf("bond %+v, want ratio 0.51 with a spread of 0.02 of it, to plain", s)
	}
	// 1/77000 s against 1/150000 s, in 4 ns.
	if want := (1e9/77000 - 1e9/150000) / 4; !near(s.More, want) {
		t.Errorf("%.3f instructions more, want %.3f", s.More, want)
	}
	if p := k.Measures[0].subject("plain"); p.Ratio != 1 || !near(p.Spread, 2.0/3) {
		t.Errorf("plain %+v", p)
	}
}

func TestMissingStaysMissing(t *testing.T) {
	k := compare("6.1.0", []document{boot(t, "100000", "50000"), boot(t, "100000", "")}, 4)
	if s := k.Measures[0].subject("bond"); s.Missing != "no such module" || s.Ratio != 0 {
		t.Errorf("bond %+v, want why it is missing", s)
	}
	var b bytes.Buffer
	(&report{Instruction: 4, Kernels: []kernel{k}}).print(&b)
	for _, want := range []string{"| bond | – |", "bond not taken: no such module", "| plain | 100000 frames/s |",
		"warning: slow"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Whoever reads a table learns which figures two boots do not agree on.
func TestBootsThatDiffer(t *testing.T) {
	k := compare("6.1.0 #1", []document{boot(t, "100000", "50000"), boot(t, "100000", "60000")}, 4)
	var b bytes.Buffer
	(&report{Instruction: 4, Kernels: []kernel{k}}).print(&b)
	for _, want := range []string{"Largest difference between boots: 18.2 % (bond, udp-64-out)",
		"bond: boots differ by 18.2 %", "| bond | 0.550 |", "| bond | +2045 |", "| plain | (2500) |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestUnitsOfWork(t *testing.T) {
	for _, tt := range []struct {
		unit         string
		figure, want float64
	}{
		{"Mbit/s", 1000, 524_288}, // 64 KiB at 1 Gbit/s
		{"frames/s", 1e6, 1000},
		{"µs", 2, 2000},
	} {
		if got := (&measure{Unit: tt.unit}).time(tt.figure); !near(got, tt.want) {
			t.Errorf("%v %s: %v ns, want %v", tt.figure, tt.unit, got, tt.want)
		}
	}
}

// spoken is a guest's report.
func spoken(t *testing.T, parts ...any) (*reader, string) {
	t.Helper()
	var b, progress bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case vm.Event:
			vm.WriteEvent(&b, p)
		case string:
			b.WriteString(p)
		}
	}
	r := &reader{progress: &progress, name: "boot 1"}
	if err := r.read(&b); err != nil {
		t.Fatal(err)
	}
	return r, progress.String()
}

func TestReader(t *testing.T) {
	kernel := vm.Event{Kind: vm.KernelIs, Text: "6.1.0 #1"}
	begin := func(task string) vm.Event { return vm.Event{Kind: vm.Begin, Text: task} }
	end := func(task string, code int) vm.Event {
		return vm.Event{Kind: vm.End, Package: task, Code: code, Text: "exit status 1"}
	}
	done := vm.Event{Kind: vm.Done}
	r, progress := spoken(t, kernel, begin(measuring), "1.0 s  plain\r\n", end(measuring, 0), begin(telling),
		"{\r\n}\r\n", end(telling, 0), done)
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	if strings.TrimSpace(r.figures.String()) != "{\n}" {
		t.Errorf("figures %q", r.figures.String())
	}
	if progress != "boot 1: 1.0 s  plain\n" {
		t.Errorf("progress %q", progress)
	}
	for name, tt := range map[string]struct {
		parts []any
		want  string
	}{
		"nothing":       {nil, "did not come"},
		"cut off":       {[]any{kernel, begin(measuring)}, "ended before"},
		"bench failed":  {[]any{kernel, begin(measuring), end(measuring, 1), done}, "measure: exit status 1"},
		"guest trouble": {[]any{kernel, vm.Event{Kind: vm.Trouble, Text: "mount /sys: no"}, done}, "mount /sys: no"},
	} {
		r, _ := spoken(t, tt.parts...)
		if err := r.verdict(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if err := new(reader).read(strings.NewReader("\x1e{not json\n")); err == nil {
		t.Error("a damaged event is no error")
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"count", "-boots", "3", "-kernel", "vmlinuz", "-only", "tcp"})
	if err != nil || o.boots != 3 || len(o.apt) != 1 || o.apt[0] != "" || o.only != "tcp" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-boots", "0"}, {"-shift", "11"}, {"-only", "("}, {"-subjects", "("}, {"x"},
		{"-x"}} {
		if _, err := parse(append([]string{"count"}, args...)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
