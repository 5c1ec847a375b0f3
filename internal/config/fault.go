package config

import (
	"fmt"
	"strings"

	"nicteam/internal/api"
)

// fault is what is wrong with one setting, before it is known where that came from.
type fault struct {
	kind api.ExitCode // zero: Usage
	key  string       // path of the setting: mtu, members[1].weight
	line int          // in a file; zero: that of the key
	what string       // after the key
	why  string
	fix  string
}

// problem states a fault; where is the file and line, the variable or the flag, or "".
func (f *fault) problem(where string) *api.Problem {
	kind := f.kind
	if kind == 0 {
		kind = api.Usage
	}
	what := f.what
	if f.key != "" && (where == "" || strings.Contains(where, ":")) { // a variable or flag says the key itself
		what = f.key + ": " + what
	}
	if where != "" {
		what = where + ": " + what
	}
	return &api.Problem{Code: kind, What: what, Why: f.why, Fix: f.fix}
}

// notYet is the fault of a value that is known and that this build cannot serve. It is a
// failure rather than misuse, for what was asked is right.
func notYet(key, value, fix string) *fault {
	return &fault{kind: api.Failed, key: key, what: fmt.Sprintf("%s is not in this build yet", value),
		why: fmt.Sprintf("%s is a known %s, but its code has not landed", value, strings.ReplaceAll(key, "_", " ")), fix: fix}
}

func oneOf(list []string) string {
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return strings.Join(list, "")
}
