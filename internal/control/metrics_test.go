// SPDX-License-Identifier: MIT

package control

import (
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/metrics"
)

func TestClientMetrics(t *testing.T) {
	f := &fake{}
	failovers := &metrics.Failovers{}
	failovers.Count(api.Event{Event: "member-down", Took: 1000}, false)
	c := NewClient(serve(t, f, Options{Failovers: failovers, Version: "v9"}), "team0")
	defer c.Close()
	for i := range 20 { // a place is given back after each
		text, err := c.Metrics(t.Context())
		if err != nil {
			t.Fatal(i, err)
		}
		for _, want := range []string{`nicteam_up{team="team0"} 1`, `version="v9"`,
			`nicteam_failovers_total{team="team0"} 1`, `nicteam_receive_bytes_total{member="eth1",team="team0"} 0`} {
			if !strings.Contains(string(text), want) {
				t.Fatalf("%s is not in\n%s", want, text)
			}
		}
	}
	none := NewClient(t.TempDir(), "team0")
	defer none.Close()
	if _, err := none.Metrics(t.Context()); kindOf(t, err) != api.NotFound {
		t.Error(err)
	}
}
