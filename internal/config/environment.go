package config

import (
	"regexp"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
)

// own are variables of ours that are no settings.
var own = []string{"RUN_DIR", "STATE_DIR", "CONFIG_DIR", "READY_FD"}

// discovery are the variables that Kubernetes and Docker set in every container beside a service whose name begins with
// nicteam: NICTEAM_SERVICE_HOST, NICTEAM_METRICS_PORT_9100_TCP_ADDR. No setting ends like that.
var discovery = regexp.MustCompile(`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// env takes in the settings of the environment. What is no setting is somebody else's: a note says so, and which may have
// been meant. The value of a setting is checked as it is everywhere.
func (l *loader) env(o Options) *api.Problem {
	given := map[string]any{}
	for _, kv := range o.Env {
		name, value, _ := strings.Cut(kv, "=")
		rest, ours := strings.CutPrefix(name, "NICTEAM_")
		if !ours || contains(own, rest) || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		key := strings.ToLower(rest)
		s := find(rows, key)
		perNIC := key == "weight" || key == portPriority
		if rest != strings.ToUpper(rest) || s == nil && !perNIC {
			if !discovery.MatchString(rest) {
				l.foreign = append(l.foreign, name+" is no setting, and ignored"+nearest.Hint(key, append(keys(rows), "weight", portPriority)))
			}
			continue
		}
		if value == "" {
			continue // as good as unset, as templates leave what is not wanted
		}
		l.origin[key] = name
		if perNIC {
			if f, _ := l.perNIC(key, value); f != nil {
				return f.problem(name)
			}
			continue
		}
		v, f := parseText(s, value)
		if f != nil {
			return f.problem(name)
		}
		given[key] = v
	}
	if err := l.v.MergeConfigMap(given); err != nil {
		return &api.Problem{Code: api.Failed, What: "read the environment", Why: err.Error(), Err: err}
	}
	return nil
}
