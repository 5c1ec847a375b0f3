// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"fmt"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/internal/tchook"
)

// CheckAdd returns warnings about what other programs have on NICs that would join a running team: filters, programs
// and sockets that do not move to the adapter. The caller of `nicteam add` does this, because the team's process has
// dropped the privileges to see other programs. NICs of any team are left to that process. looked is false if the
// caller is in another network namespace than the team.
func CheckAdd(d Dirs, st *api.Status, nics []string, o control.ChangeOptions) (found host.Findings, looked bool,
	err error) {
	h, err := openSameNetNS(st)
	if h == nil {
		return found, false, err
	}
	defer func() { _ = h.Close() }()
	taken, err := Owners(d, st.Team)
	if err != nil {
		return found, false, err
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
	found, problem := h.CheckImpact(settings.Config{Team: st.Team}, st.Adapter.Name, free, consentOf(o))
	if problem != nil {
		return found, true, problem
	}
	return found, true, nil
}

// openSameNetNS opens the host if the adapter of the team is in this network namespace; else it returns nil.
func openSameNetNS(st *api.Status) (*host.Host, error) {
	h, err := host.Open(host.Options{})
	if err != nil {
		return nil, err
	}
	n, err := h.ReadLink(st.Adapter.Index)
	if err != nil || n.Name != st.Adapter.Name || n.MAC.String() != st.Adapter.MAC {
		_ = h.Close()
		return nil, nil
	}
	return h, nil
}

func consentOf(o control.ChangeOptions) (consent host.Consent) {
	if o.Accept {
		consent |= host.ConsentGiven
	}
	if o.Force {
		consent |= host.ConsentForced
	}
	return consent
}

// CheckDelete returns a problem if other interfaces stand on the adapter. Another network namespace cannot be checked:
// nil.
func CheckDelete(st *api.Status) error {
	h, err := openSameNetNS(st)
	if h == nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if problem := CheckAdapterUnused(h, st.Team, st.Adapter.Name); problem != nil {
		return problem
	}
	return nil
}

// CheckAdapterUnused returns a problem if VLANs, bridges or the like use the adapter: they would end with it.
func CheckAdapterUnused(h *host.Host, name, adapter string) *api.Problem {
	what, err := h.Dependents(adapter)
	if err != nil || len(what) == 0 {
		return nil
	}
	return &api.Problem{Kind: api.Conflict, What: "delete " + name,
		Why: fmt.Sprintf("its adapter %s is in use: %s", adapter, strings.Join(what, ", ")),
		Fix: fmt.Sprintf("remove that first (ip link del, ip link set %s nomaster), "+
			"or end it with the team: nicteam delete %s --force", adapter, name)}
}

// FastpathProblem returns the error of a request for datapath=fastpath that cannot be met.
func FastpathProblem(what string, err error) *api.Problem {
	p := &api.Problem{Kind: api.Failed, What: what + ": the fast path cannot run", Err: err,
		Why: tchook.WhyNoPrograms(err),
		Fix: "fix the cause, or use datapath=auto, which falls back to the relay"}
	switch {
	case errors.As(err, new(*tchook.HookHeld)):
		p.Fix = "remove that program, or use datapath=auto or relay, which leave it alone"
	case tchook.Unprivileged(err):
		p.Kind = api.NotPermitted
		p.Fix = "run it with CAP_BPF and CAP_PERFMON (root has them), or use datapath=auto, which needs neither"
	}
	return p
}

// probeFastpath checks whether the fast path can run on NICs that are not members yet. What the adapter refuses shows
// only when it exists.
func probeFastpath(h *host.Host, names []string) error {
	if err := fastpath.Probe(); err != nil {
		return err
	}
	return h.HooksFree(names)
}
