// SPDX-License-Identifier: MIT

package metrics

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	text := func(name string) []byte {
		var b bytes.Buffer
		if err := Write(&b, Gatherer(Team{Source: example(name), Version: "v1"})); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	answers := map[string][]byte{
		"team0": text("team0"),
		"team1": bytes.ReplaceAll(text("team1"), []byte("Members of the team."), []byte("Worded otherwise.")),
		"team2": []byte("{\"schema\": 1}\n"),
	}
	failed := make(chan string, 8)
	h := Host{Context: t.Context(), Teams: func() ([]string, error) {
		return []string{"team0", "team1", "team2", "team3"}, nil
	},
		Ask: func(_ context.Context, name string) ([]byte, error) {
			if b, ok := answers[name]; ok {
				return b, nil
			}
			return nil, errors.New("its process is gone")
		},
		Failed: func(name string, err error) { failed <- name }}
	rec := httptest.NewRecorder()
	Handler(h, slog.New(slog.DiscardHandler)).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	got := rec.Body.String()
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %s", rec.Code, rec.Header())
	}
	for _, want := range []string{
		`nicteam_up{team="team0"} 1`, `nicteam_up{team="team1"} 1`, `nicteam_up{team="team2"} 0`,
		`nicteam_up{team="team3"} 0`,
		`nicteam_team_members{team="team0"} 4`, `nicteam_team_members{team="team1"} 4`,
		`nicteam_failover_duration_seconds_bucket{team="team1",le="+Inf"} 0`,
	} {
		if strings.Count(got, "\n"+want+"\n") != 1 {
			t.Errorf("%s is not there once in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "# TYPE nicteam_team_members gauge"); n != 1 {
		t.Errorf("%d heads of one name", n)
	}
	close(failed)
	n := 0
	for range failed {
		n++
	}
	if n != 2 {
		t.Errorf("%d told of, want 2", n)
	}
}

func TestHostWithoutTeams(t *testing.T) {
	var b bytes.Buffer
	err := Write(&b, Host{Context: t.Context(), Teams: func() ([]string, error) { return nil, nil }})
	if err != nil || b.Len() != 0 {
		t.Errorf("%v %q", err, b.String())
	}
}
