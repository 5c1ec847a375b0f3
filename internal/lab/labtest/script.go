// SPDX-License-Identifier: MIT

package labtest

import (
	"fmt"
	"slices"
	"strings"
)

// Script returns a shell script that does what script does, with one process for each run of commands of ip of one
// family, in place of one for each. It stops at the first that fails, if the shell does (-e).
func Script(script string) string {
	var out strings.Builder
	var batch []string
	family, continued := "", false
	flush := func() {
		if len(batch) == 1 {
			fmt.Fprintf(&out, "ip%s %s\n", family, batch[0])
		} else if len(batch) > 1 {
			fmt.Fprintf(&out, "ip%s -batch - <<'END'\n%s\nEND\n", family, strings.Join(batch, "\n"))
		}
		batch = nil
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "<<") || strings.Count(line, "'")%2+strings.Count(line, `"`)%2 > 0 {
			return script // what follows may be no commands
		}
		commands := strings.Split(line, "; ")
		if continued || slices.ContainsFunc(commands, func(c string) bool { _, _, ok := batchable(c); return !ok }) {
			flush()
			out.WriteString(line + "\n")
			continued = strings.HasSuffix(line, `\`)
			continue
		}
		for _, c := range commands {
			of, words, _ := batchable(c)
			if of != family {
				flush()
			}
			family, batch = of, append(batch, words)
		}
	}
	flush()
	return out.String()
}

// batchable returns the family and the rest of a command that changes something by ip, and has nothing that the shell
// reads. Commands that make, rename or remove a device are not: ip keeps names and numbers of devices.
func batchable(command string) (family, words string, ok bool) {
	words, ok = strings.CutPrefix(strings.TrimSpace(command), "ip ")
	if !ok || strings.ContainsAny(words, "\\\"'`$|&;<>(){}[]*?#~!") {
		return "", "", false
	}
	for _, f := range []string{"-4", "-6"} {
		if rest, is := strings.CutPrefix(words, f+" "); is {
			family, words = " "+f, rest
		}
	}
	f := strings.Fields(words)
	if len(f) < 3 {
		return "", "", false
	}
	object, verb := f[0], f[1]
	switch object {
	case "addr", "route", "rule", "neigh":
		ok = verb == "add" || verb == "del" || verb == "append" || verb == "replace" || verb == "change"
	case "link":
		ok = verb == "set" && !strings.Contains(words, " name ") && !strings.Contains(words, " netns ")
	default:
		ok = false
	}
	return family, words, ok
}
