// SPDX-License-Identifier: MIT

package team

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

func sumOf(list []uint64) (n uint64) {
	for i := range list {
		n += list[i]
	}
	return n
}

// What members carried is there a second later, by member and protocol, whether anybody looks or not; a member that
// left keeps its place, and another process of the team goes on with all that.
func TestTeamRemembersTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		begun := time.Now()
		carry := func(seconds int) {
			for range 10 * seconds {
				k.do(func() {
					c := &k.counters.Members[0].RX[frame.TCP]
					c.Bytes, c.Frames = c.Bytes+15000, c.Frames+10
				})
				time.Sleep(100 * time.Millisecond)
			}
		}
		ask := func(tm *Team, member string) *api.History {
			t.Helper()
			d, err := tm.History(api.HistoryQuery{From: begun, To: time.Now(), Step: time.Minute, Member: member})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		time.Sleep(2 * time.Second)
		carry(30)
		time.Sleep(2 * time.Second)
		d := ask(tm, "")
		if got := sumOf(d.RX.Bytes); got != 30*150_000 {
			t.Errorf("%d bytes, want %d: %+v", got, 30*150_000, d)
		}
		if len(d.Members) != 1 || d.Members[0].Name != "eth1" || d.TX.Bytes != nil ||
			sumOf(d.Protocols[frame.TCP].RX.Frames) != 3000 {
			t.Errorf("members %+v, out %v", d.Members, d.TX)
		}
		if peak := d.RX.BytesPeak[len(d.RX.BytesPeak)-1]; peak < 140_000 || peak > 160_000 {
			t.Errorf("peak %v, want 150000", d.RX.BytesPeak)
		}
		if err := tm.Leave(t.Context(), "eth1", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if d := ask(tm, "eth1"); sumOf(d.RX.Bytes) != 30*150_000 || d.Member != "eth1" {
			t.Errorf("after it left: %+v", d)
		}

		var kept bytes.Buffer
		if err := tm.WriteHistory(&kept); err != nil {
			t.Fatal(err)
		}
		next, err := New(tm.o)
		if err != nil {
			t.Fatal(err)
		}
		past := tm.Events(time.Time{})
		if err := next.RestoreHistory(kept.Bytes(), past); err != nil {
			t.Fatal(err)
		}
		if got := next.Events(time.Time{}); len(past) == 0 || len(got) != len(past) {
			t.Errorf("%d events recalled of %d", len(got), len(past))
		}
		if d := ask(next, ""); sumOf(d.RX.Bytes) != 30*150_000 || len(d.Events) == 0 {
			t.Errorf("recalled: %+v", d)
		}
		if err := next.RestoreHistory(kept.Bytes()[:100], nil); err == nil {
			t.Error("a part of a history is none")
		}
	})
}

func TestHistoryRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tm := running(t, newKernel(), Options{}, 1)
		now := time.Now()
		for _, tt := range []struct {
			q    api.HistoryQuery
			kind api.ExitCode
			has  string
		}{
			{api.HistoryQuery{From: now.Add(-time.Hour), To: now, Step: time.Second, Member: "eth9"}, api.NotFound,
				"members are: eth1"},
			{api.HistoryQuery{From: now.Add(-time.Hour), To: now, Step: time.Millisecond, Member: ""}, api.Usage,
				"at least 1s"},
			{api.HistoryQuery{From: now.Add(-time.Hour), To: now, Step: time.Second + 1, Member: ""}, api.Usage,
				"whole milliseconds"},
			{api.HistoryQuery{From: now, To: now.Add(-time.Hour), Step: time.Second, Member: ""}, api.Usage,
				"before it begins"},
			{api.HistoryQuery{From: now.Add(-24 * time.Hour), To: now, Step: time.Second, Member: ""}, api.Usage,
				"86401 columns"},
		} {
			_, err := tm.History(tt.q)
			var p *api.Problem
			if !errors.As(err, &p) || p.Kind != tt.kind ||
				!bytes.Contains(fmt.Append(nil, p.Why, p.Fix), []byte(tt.has)) {
				t.Errorf("%+v: %v, want %q", tt.q, err, tt.has)
			}
		}
	})
}

// An hour of a team of eight, as a client gets it.
func TestHistoryDocumentIsSmall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2, 3, 4, 5, 6, 7, 8)
		begun := time.Now()
		for i := range 3700 {
			k.do(func() {
				for id := range 8 {
					for p := range frame.Protocols {
						n := uint64(1 + (i*7+id*13+p)%900)
						k.counters.Members[id].RX[p].Add(frame.Count{Bytes: n * 100_000, Frames: n * 70})
						k.counters.Members[id].TX[p].Add(frame.Count{Bytes: n * 30_000, Frames: n * 20})
					}
				}
			})
			time.Sleep(time.Second)
		}
		d, err := tm.History(api.HistoryQuery{From: time.Now().Add(-time.Hour), To: time.Now(), Step: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, %d columns, begun %v ago", len(b), d.Columns, time.Since(begun))
		if len(b) > 600_000 || d.Columns != 361 {
			t.Errorf("%d bytes of %d columns", len(b), d.Columns)
		}
	})
}
