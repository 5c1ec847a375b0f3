// SPDX-License-Identifier: MIT

// Package limit bounds how often something happens.
package limit

import "time"

// Rate is a burst at once after a rest, and one more each Every: so in any period d at most Burst + d/Every.
type Rate struct {
	Every time.Duration
	Burst int
}

// Bucket is a token bucket, kept as the time at which it is full again (the generic cell rate algorithm of ITU-T
// I.371). The zero value is full. One goroutine uses it, always with the same Rate.
type Bucket struct{ full time.Time }

// Take takes a token, and returns false when there is none. now may be of any clock, always the same.
func (b *Bucket) Take(now time.Time, r Rate) bool {
	if now.Before(b.Next(r)) {
		return false
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(r.Every)
	return true
}

// Next returns from when on there is a token.
func (b *Bucket) Next(r Rate) time.Time { return b.full.Add(-time.Duration(r.Burst-1) * r.Every) }

// Full returns from when on all tokens are there.
func (b *Bucket) Full() time.Time { return b.full }
