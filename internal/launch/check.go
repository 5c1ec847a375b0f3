package launch

import (
	"fmt"
	"strings"

	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/team"
)

// CheckAdd says what of others does not go along when NICs join a running team, whose status is given. It is for the caller of
// `nicteam add`: the team's own process has too few rights to see the programs of others. NICs that a team has already are left
// to that process. looked is false for a caller in another network namespace than the team's.
func CheckAdd(p Dirs, st *team.Status, nics []string, accept bool) (warnings []string, looked bool, err error) {
	h, err := openBeside(st)
	if h == nil {
		return nil, false, err
	}
	defer func() { _ = h.Close() }()
	taken, err := Owners(p, st.Team)
	if err != nil {
		return nil, false, err
	}
	for _, m := range st.Members {
		taken[m.Name] = host.Owner{Team: st.Team}
	}
	var free []string
	for _, name := range nics {
		n, err := h.NIC(h.RealName(name))
		if err != nil || taken[n.Name].Team != "" {
			continue
		}
		if other, _ := NICHolderOf(n.Index); other == nil {
			free = append(free, n.Name)
		}
	}
	warnings, problem := h.CheckBystanders(settings.Config{Team: st.Team}, st.Adapter.Name, free, consentOf(accept))
	if problem != nil {
		return warnings, true, problem
	}
	return warnings, true, nil
}

// openBeside opens the host that has a team's adapter; nil where the caller is in another network namespace.
func openBeside(st *team.Status) (*host.Host, error) {
	h, err := host.Open(host.Options{})
	if err != nil {
		return nil, err
	}
	if n, err := h.Facts(st.Adapter.Index); err != nil || n.Name != st.Adapter.Name || n.MAC.String() != st.Adapter.MAC {
		_ = h.Close()
		return nil, nil
	}
	return h, nil
}

func consentOf(accept bool) host.Consent {
	if accept {
		return host.Accept
	}
	return host.Ask
}

// CheckDelete is a problem when something of others stands on a team's adapter, in whatever network namespace.
func CheckDelete(st *team.Status) error {
	h, err := openBeside(st)
	if h == nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if problem := CheckAdapterUnused(h, st.Team, st.Adapter.Name); problem != nil {
		return problem
	}
	return nil
}

func CheckAdapterUnused(h *host.Host, name, adapter string) *team.Problem {
	what, err := h.Carries(adapter)
	if err != nil || len(what) == 0 {
		return nil
	}
	return &team.Problem{Kind: team.Conflict, What: "delete " + name, Why: fmt.Sprintf("others need its adapter %s: %s", adapter, strings.Join(what, ", ")),
		Fix: fmt.Sprintf("take that away first (ip link del, ip link set %s nomaster), or end it with the team: nicteam delete %s --force", adapter, name)}
}
