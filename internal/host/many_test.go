// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"strings"
	"testing"

	"nicteam/internal/settings"

	"nicteam/internal/lab/labtest"
)

// effort is what was asked of the kernel.
type effort struct{ requests, objects int64 }

func (h *Host) effort() effort { return effort{h.rt.Requests.Load(), h.rt.Objects.Load()} }

func (e effort) since(was effort) effort {
	return effort{e.requests - was.requests, e.objects - was.objects}
}

// TestManyMembers: what a member costs does not grow with the number of members. A reading of all links, routes or
// addresses of the host for each member would.
func TestManyMembers(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	const few, many = 3, 15
	steps := map[string]map[int]effort{}
	for _, n := range []int{few, many} {
		takeManyOver(t, n, func(step string, e effort) {
			if steps[step] == nil {
				steps[step] = map[int]effort{}
			}
			steps[step][n] = e
		})
	}
	// For each further member.
	for step, most := range map[string]effort{"record": {8, 20}, "adopt": {10, 50}, "strip": {10, 10},
		"release": {22, 130}} {
		all := steps[step]
		each := effort{(all[many].requests - all[few].requests) / (many - few),
			(all[many].objects - all[few].objects) / (many - few)}
		t.Logf("%s: %d members %+v, %d members %+v: %+v a member", step, few, all[few], many, all[many], each)
		if each.requests > most.requests || each.objects > most.objects {
			t.Errorf("%s: %+v a member, want at most %+v", step, each, most)
		}
	}
}

// takeManyOver takes n NICs over and gives them back.
func takeManyOver(t *testing.T, n int, each func(step string, e effort)) {
	w := newWorld(t)
	var names []string
	script := &strings.Builder{}
	for i := range n {
		name := fmt.Sprintf("many%d", i)
		names = append(names, name)
		fmt.Fprintf(script, "link add %[1]s type veth peer name p%[1]s\nlink set p%[1]s up\nlink set %[1]s up\n"+
			"addr add 10.20.%[2]d.1/24 dev %[1]s\n", name, i)
	}
	run(t, "ip -batch - <<END\n"+script.String()+"END")
	defer func() {
		clean := &strings.Builder{}
		for _, name := range names {
			fmt.Fprintf(clean, "link del %s\n", name)
		}
		run(t, "ip -batch - <<END\n"+clean.String()+"END")
	}()
	settled(t)
	h := w.open(nil)
	must(t, h.Begin())
	adapter := w.tap()
	must(t, h.RecordAdapter(adapter))
	step := func(name string, do func()) {
		was := h.effort()
		do()
		each(name, h.effort().since(was))
	}
	step("record", func() { must1(h.RecordMembers(names)) })
	run(t, "ip link set "+teamName+" down")
	must1(h.CopySettings(adapter, names[0], names))
	must(t, h.BringUp(adapter))
	step("adopt", func() { must(t, h.Adopt(adapter, names)) })
	step("strip", func() { must(t, h.StripAll(names, MemberSetup{MTU: 1400, GRO: settings.OffloadOff})) })
	step("release", func() {
		must1(h.ReleaseAll(nil))
		must1(h.Finish())
	})
	h.Close()
	last, want := names[n-1], fmt.Sprintf("10.20.%d.1/24", n-1)
	if have := run(t, "ip -4 -br addr show dev "+last); !strings.Contains(have, want) {
		t.Errorf("%s has %s", last, have)
	}
}
