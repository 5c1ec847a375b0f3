// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestHistoryQuery(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	day := now.Add(-24 * time.Hour)
	for _, tt := range []struct {
		q    string
		want api.HistoryQuery
	}{
		{"", api.HistoryQuery{From: now.Add(-time.Hour), To: now, Step: 10 * time.Second}},
		{"last=2m", api.HistoryQuery{From: now.Add(-2 * time.Minute), To: now, Step: time.Second}},
		{"last=1h&step=1s&member=eth1", api.HistoryQuery{From: now.Add(-time.Hour), To: now, Step: time.Second,
			Member: "eth1"}},
		{"last=24h", api.HistoryQuery{From: day, To: now, Step: 5 * time.Minute}},
		{"last=2000h", api.HistoryQuery{From: now.Add(-2000 * time.Hour), To: now, Step: 5 * time.Hour}},
		{"from=2026-01-01T03:04:05Z", api.HistoryQuery{From: day, To: now, Step: 5 * time.Minute}},
		{"from=2026-01-01T03:04:05Z&to=2026-01-01T03:05:05Z",
			api.HistoryQuery{From: day, To: day.Add(time.Minute), Step: time.Second}},
		{"to=2026-01-01T04:04:05.5%2B01:00&last=5s", api.HistoryQuery{From: day.Add(-4500 * time.Millisecond),
			To: day.Add(500 * time.Millisecond), Step: time.Second}},
	} {
		q, err := url.ParseQuery(tt.q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := historyQuery(q, now)
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.q, err, d)
		}
	}
}

func TestClientHistory(t *testing.T) {
	f := &fake{}
	c := NewClient(serve(t, f, Options{}), "team0")
	defer c.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, tt := range []struct {
		o    HistoryOptions
		want api.HistoryQuery
	}{
		{HistoryOptions{Last: time.Hour, To: at},
			api.HistoryQuery{From: at.Add(-time.Hour), To: at, Step: 10 * time.Second}},
		{HistoryOptions{From: at, To: at.Add(90 * time.Minute), Step: 90 * time.Second, Member: "wlan0"},
			api.HistoryQuery{From: at, To: at.Add(90 * time.Minute), Step: 90 * time.Second, Member: "wlan0"}},
	} {
		d, err := c.History(t.Context(), tt.o)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, f.asked); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.o, d)
		}
		if d.Schema != "nicteam.history/v1" || d.Step != int64(tt.want.Step) || len(d.RX.Bytes) != 1 {
			t.Errorf("answer %+v", d)
		}
	}
	_, err := c.History(t.Context(), HistoryOptions{Member: "eth9"})
	var p *api.Problem
	if !errors.As(err, &p) || p.Kind != api.NotFound {
		t.Errorf("of a stranger: %v", err)
	}
}
