package host

import (
	"strconv"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
)

func newerProblem(name, path string, err error) *api.Problem {
	return &api.Problem{
		Kind: api.Conflict, Err: err, What: "use journal of " + name,
		Why: path + ": " + err.Error() + "; this one would lose what it does not know, so it changes nothing",
		Fix: "use the program that wrote it, nicteam restore " + name + " by that one; or remove the file if nothing of the team is left",
	}
}

func elsewhereProblem(name, path string, of, here journal.Location) *api.Problem {
	return &api.Problem{
		Kind: api.Conflict, What: "use journal of " + name,
		Why: path + ": the team lives in another network namespace (inode " + strconv.FormatUint(of.NetNS, 10) + ", this one is " + strconv.FormatUint(here.NetNS, 10) + ")",
		Fix: "run the command in that namespace, or give this one a state directory of its own with --state-dir",
	}
}

func damagedProblem(name, path, why string) *api.Problem {
	return &api.Problem{
		Kind: api.Failed, What: "use journal of " + name,
		Why: path + " is damaged: " + why + "; adapter, addresses and journal stay as they are",
		Fix: "put the addresses of " + name + " on a NIC by hand (ip address, ip route), then: ip link del " + name + "; and remove the file",
	}
}
