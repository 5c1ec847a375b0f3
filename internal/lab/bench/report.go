// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// report is the document nicteam.bench/v1.
type report struct {
	Schema      string     `json:"schema"`
	Time        time.Time  `json:"time"`
	Took        int64      `json:"took_ns"`
	Kernel      string     `json:"kernel"`
	CPUs        int        `json:"cpus"`
	Load        string     `json:"load_average"` // before
	BusyBefore  figure     `json:"busy_before"`  // by other programs, percent of all CPUs
	BusyAfter   figure     `json:"busy_after"`
	Nicteam     string     `json:"nicteam"`
	OpenVSwitch string     `json:"open_vswitch"`
	IPerf       string     `json:"iperf3"`
	Rounds      int        `json:"rounds"`
	Turn        int64      `json:"turn_ns"`
	Measures    []*measure `json:"measures"`
	Goals       []verdict  `json:"goals"`
	Warnings    []string   `json:"warnings"`
}

func newReport(ctx context.Context, o options) *report {
	r := &report{Schema: "nicteam.bench/v1", Time: time.Now(), CPUs: runtime.NumCPU(), Rounds: o.rounds,
		Turn: int64(o.turn), Warnings: []string{}}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		r.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	load, _ := os.ReadFile("/proc/loadavg")
	r.Load = strings.TrimSpace(string(load))
	r.Nicteam = firstLine(ctx, o.binary, "version")
	r.OpenVSwitch = firstLine(ctx, "ovs-vswitchd", "--version")
	r.IPerf = firstLine(ctx, "iperf3", "--version")
	return r
}

func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "none: " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func (r *report) finish() {
	r.Took = int64(time.Since(r.Time))
	by := map[string]*measure{}
	for _, m := range r.Measures {
		for _, c := range m.Cases {
			if len(c.Samples) == 0 && c.Missing == "" {
				c.Missing = "interrupted"
			}
		}
		if len(m.Cases) == 0 && m.Absent == "" {
			m.Absent = "interrupted"
		}
		m.finish()
		by[m.Name] = m
	}
	for _, g := range goals {
		if m := by[g.measure]; m != nil {
			r.Goals = append(r.Goals, g.judge(m))
		}
	}
}

func (r *report) save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// print writes the table.
func (r *report) print(w io.Writer) {
	load, _, _ := strings.Cut(r.Load, " ")
	fmt.Fprintf(w, "%s · %s · iperf3: %s\nLinux %s · %d CPUs · load before %s, others busy before %s %%, after %s %% "+
		"· %d rounds of %v turns · took %v\n\n",
		r.Nicteam, r.OpenVSwitch, r.IPerf, r.Kernel, r.CPUs, load, number(float64(r.BusyBefore)),
		number(float64(r.BusyAfter)), r.Rounds, time.Duration(r.Turn), time.Duration(r.Took).Round(time.Second))
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "measure\tunit\tmedians (lowest–highest)\tratios")
	for _, m := range r.Measures {
		lines := max(len(m.Cases), len(m.Ratios))
		if m.Absent != "" || lines == 0 {
			fmt.Fprintf(t, "%s\t%s\tnot taken: %s\t\n", m.Name, m.Unit, m.Absent)
			continue
		}
		for i := range lines {
			name, unit, figures, ratios := "", "", "", ""
			if i == 0 {
				name, unit = m.Name, m.Unit
			}
			if i < len(m.Cases) {
				figures = m.Cases[i].String()
			}
			if i < len(m.Ratios) {
				q := m.Ratios[i]
				ratios = fmt.Sprintf("%s / %s  %s", q.Of, q.To, number(float64(q.Median)))
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, unit, figures, ratios)
		}
	}
	_ = t.Flush()
	_, _ = table.WriteTo(w)

	fmt.Fprintln(w)
	for _, m := range r.Measures {
		fmt.Fprintf(w, "%s: %s\n", m.Name, m.What)
		for _, n := range m.Notes {
			fmt.Fprintf(w, "    %s\n", n)
		}
		for _, c := range m.Cases {
			if c.Missing != "" && !strings.Contains(c.String(), c.Missing) {
				fmt.Fprintf(w, "    %s gave up: %s\n", c.Name, c.Missing)
			}
		}
	}
	fmt.Fprintln(w)
	count := map[string]int{}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range r.Goals {
		count[v.State]++
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.State, v.Measure, v.Goal, number(float64(v.Got)),
			strings.TrimSpace(v.Aim+" "+v.Reason))
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\ngoals: %d met, %d missed, %d not taken\n", count["met"], count["missed"], count["not taken"])
	for _, s := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", s)
	}
}

// String is the case as the table shows it.
func (r *row) String() string {
	name := r.Name + strings.Repeat(" ", max(0, 10-utf8.RuneCountInString(r.Name)))
	if len(r.Samples.sortedKnown()) == 0 {
		return fmt.Sprintf("%s not taken: %s", name, r.Missing)
	}
	return fmt.Sprintf("%s %8s (%s–%s)", name, number(float64(r.Median)), number(float64(r.Lowest)),
		number(float64(r.Highest)))
}
