// SPDX-License-Identifier: MIT

package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBucket holds Take against a count of tokens.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{Every: time.Duration(rapid.IntRange(1, 50).Draw(t, "every")),
			Burst: rapid.IntRange(1, 8).Draw(t, "burst")}
		var b Bucket
		now := time.Unix(1e9, 0)
		tokens, since := r.Burst, now // when the next token began to come
		for range 60 {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "later")))
			for ; tokens < r.Burst && now.Sub(since) >= r.Every; since = since.Add(r.Every) {
				tokens++
			}
			want := tokens > 0
			if want {
				if tokens == r.Burst {
					since = now
				}
				tokens--
			}
			if !want && !b.Next(r).Equal(since.Add(r.Every)) {
				t.Fatalf("next at %v, want %v", b.Next(r), since.Add(r.Every))
			}
			if got := b.Take(now, r); got != want {
				t.Fatalf("took %v at %v, want %v", got, now, want)
			}
		}
	})
}
