// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestFollowersNeverDelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		lazy := tm.Follow(ctx)
		for range 3 * maxEvents {
			tm.Record("takeover", "", "")
		}
		if n := len(tm.Events(time.Time{})); n != maxEvents {
			t.Errorf("%d events remembered, want %d", n, maxEvents)
		}
		if n := len(lazy); n != followerBuffer {
			t.Errorf("%d events wait, want %d", n, followerBuffer)
		}
		cancel()
		n := 0
		for range lazy {
			n++
		}
		if n != followerBuffer {
			t.Errorf("%d delivered", n)
		}
		// Replay has what was, and goes on.
		tm.Record("restored", "", "")
		replay := tm.Replay(t.Context(), time.Time{})
		tm.Record("takeover", "eth7", "")
		var last, before api.Event
		for range maxEvents + 1 {
			before, last = last, <-replay
		}
		if before.Event != "restored" || last.Member != "eth7" {
			t.Errorf("replayed %+v, %+v", before, last)
		}
	})
}

func TestHistorySince(t *testing.T) {
	var h eventLog
	for i := range maxEvents + 10 {
		h.add([]api.Event{{Time: time.Unix(int64(i), 0)}})
	}
	got := h.sinceTime(time.Unix(maxEvents+8, 0))
	want := []api.Event{{Time: time.Unix(maxEvents+8, 0)}, {Time: time.Unix(maxEvents+9, 0)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first := h.sinceTime(time.Time{})[0]; first.Time != time.Unix(10, 0) {
		t.Errorf("oldest %v", first.Time)
	}
}
