package launch

import (
	"errors"

	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/tchook"
	"nicteam/team"
)

// FastpathProblem is the error of a wish for the programs that cannot be met.
func FastpathProblem(what string, err error) *team.Problem {
	p := &team.Problem{Kind: team.Failed, What: what + ": the fast path cannot run", Why: tchook.WhyNoPrograms(err), Err: err,
		Fix: "use datapath=auto, which takes the relay where the fast path cannot run, or mend the cause"}
	switch {
	case errors.As(err, new(*tchook.HookHeld)):
		p.Fix = "take that program away; or use datapath=auto or relay, which leave it alone"
	case tchook.Unprivileged(err):
		p.Kind, p.Fix = team.NotPermitted, "give it CAP_BPF and CAP_PERFMON, as root has them; or use datapath=auto, which does without"
	}
	return p
}

// probeFastpath finds before anything is changed why the programs could not be had on NICs. What the adapter refuses
// only shows when there is one.
func probeFastpath(h *host.Host, names []string) error {
	if err := fastpath.Probe(); err != nil {
		return err
	}
	return h.Unheld(names)
}
