// SPDX-License-Identifier: MIT

package metrics

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBonding: heads and lines are those that node_exporter writes of kernel bonds.
func TestBonding(t *testing.T) {
	answers := map[string]string{
		"team0": "# TYPE nicteam_team_members gauge\nnicteam_team_members{team=\"team0\"} 3\n" +
			"# TYPE nicteam_team_members_active gauge\nnicteam_team_members_active{team=\"team0\"} 2\n",
		"starts":  "",
		"another": "# TYPE nicteam_team_members counter\nnicteam_team_members{team=\"another\"} 3\n",
		"odd":     "{\"schema\": 1}\n",
	}
	down := map[string]int{"dead": 4, "odd": 1}
	var b bytes.Buffer
	err := Write(&b, Bonding{
		Host: Host{Context: t.Context(),
			Teams: func() ([]string, error) {
				return []string{"another", "dead", "forgotten", "odd", "starts", "team0"}, nil
			},
			Ask: func(_ context.Context, name string) ([]byte, error) {
				if text, ok := answers[name]; ok {
					return []byte(text), nil
				}
				return nil, errors.New("its process is gone")
			}},
		Members: func(name string) (int, bool) { n, ok := down[name]; return n, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `# HELP node_bonding_active Number of active slaves per bonding interface.
# TYPE node_bonding_active gauge
node_bonding_active{master="dead"} 0
node_bonding_active{master="odd"} 0
node_bonding_active{master="team0"} 2
# HELP node_bonding_slaves Number of configured slaves per bonding interface.
# TYPE node_bonding_slaves gauge
node_bonding_slaves{master="dead"} 4
node_bonding_slaves{master="odd"} 1
node_bonding_slaves{master="team0"} 3
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBondingOfATeam: a team's own metrics have what Bonding reads of them.
func TestBondingOfATeam(t *testing.T) {
	var text, b bytes.Buffer
	if err := Write(&text, Gatherer(Team{Source: example("team0"), Version: "v1"})); err != nil {
		t.Fatal(err)
	}
	err := Write(&b, Bonding{Host: Host{Context: t.Context(),
		Teams: func() ([]string, error) { return []string{"team0"}, nil },
		Ask:   func(context.Context, string) ([]byte, error) { return text.Bytes(), nil }}})
	if err != nil || !bytes.Contains(b.Bytes(), []byte("node_bonding_slaves{master=\"team0\"} 4\n")) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestBondingWithoutTeams(t *testing.T) {
	var b bytes.Buffer
	no := errors.New("no")
	h := Host{Context: t.Context(), Teams: func() ([]string, error) { return nil, nil }}
	if err := Write(&b, Bonding{Host: h}); err != nil || b.Len() != 0 {
		t.Errorf("%v %q", err, b.String())
	}
	h.Teams = func() ([]string, error) { return nil, no }
	if err := Write(&b, Bonding{Host: h}); !errors.Is(err, no) {
		t.Errorf("the list of teams cannot be read: %v", err)
	}
}
