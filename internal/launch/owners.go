package launch

import (
	"context"
	"nicteam/internal/control"
	"nicteam/internal/host"
)

// Owners maps links to the teams, name's own left out, that have them: those that run, as they say, and those whose
// process does not answer, as their journals say.
func Owners(p Dirs, name string) (map[string]host.Owner, error) {
	of := map[string]host.Owner{}
	teams, err := p.teams()
	if err != nil {
		return nil, err
	}
	for _, other := range teams {
		if other == name {
			continue
		}
		dead := unlocked(p, other)
		for _, nic := range host.Claimed(p.StateDir, other) {
			of[nic] = host.Owner{Team: other, Dead: dead}
		}
		if dead {
			continue
		}
		client := control.NewClient(p.RunDir, other)
		if st, err := client.Status(context.Background()); err == nil {
			of[st.Adapter.Name] = host.Owner{Team: other}
			for _, m := range st.Members {
				of[m.Name] = host.Owner{Team: other}
			}
		}
		client.Close()
	}
	return of, nil
}
