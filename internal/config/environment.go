// SPDX-License-Identifier: MIT

package config

import (
	"regexp"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

// own are variables of ours that are no settings.
var own = []string{"RUN_DIR", "STATE_DIR", "CONFIG_DIR", "READY_FD", "KEPT_FDS",
	"ACTIVE_HELP", "COMPLETION_DESCRIPTIONS"} // the last two are of completion

// discovery are the variables that Kubernetes and Docker set in every container beside a service whose name begins with
// nicteam: NICTEAM_SERVICE_HOST, NICTEAM_METRICS_PORT_9100_TCP_ADDR. No setting ends like that.
var discovery = regexp.MustCompile(
	`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// env merges the variables that are settings. A variable that only looks like one belongs to somebody else: a note says
// so, and which may have been meant.
func (l *loader) env(o Options) *api.Problem {
	for _, kv := range o.Env {
		name, value, _ := strings.Cut(kv, "=")
		rest, ours := strings.CutPrefix(name, "NICTEAM_")
		if !ours || contains(own, rest) || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		key := strings.ToLower(rest)
		s := settings.Find(key)
		if s == nil || s.NoFile || rest != strings.ToUpper(rest) {
			if !discovery.MatchString(rest) {
				l.foreign = append(l.foreign, name+" is not a setting: ignored"+nearest.Hint(key, flagKeys()))
			}
			continue
		}
		if value == "" {
			continue // as good as unset: templates leave unwanted ones empty
		}
		if f := l.merge(s, value, name); f != nil {
			return problem(f, name)
		}
	}
	return nil
}

// flagKeys are the keys of settings that are flags and variables.
func flagKeys() (list []string) {
	for i := range settings.Table {
		if s := &settings.Table[i]; !s.NoFile {
			list = append(list, s.Key)
		}
	}
	return list
}
