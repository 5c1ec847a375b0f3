// SPDX-License-Identifier: MIT

package logs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"nicteam/internal/limit"
)

// Limits of a subject, a message about one member: burst lines at once, then one per refill.
const (
	burst  = 8
	refill = 10 * time.Second
	// maxSubjects bounds the memory; beyond it, subjects are evicted and their limits restart.
	maxSubjects = 512
)

var lineRate = limit.Rate{Every: refill, Burst: burst}

// LeftOut is the attribute with the number of lines of the subject suppressed before this one.
const LeftOut = "left_out"

// Limit returns a handler that rate-limits repeated records. A link that flaps ten times a second is logged as it
// starts, then once every ten seconds with the number of suppressed lines. The last state is always logged, at most ten
// seconds late. Records below Info and records with the attribute Who pass.
func Limit(next slog.Handler) slog.Handler {
	return &limiter{next: next, shared: &subjects{of: map[string]*subject{}}}
}

// Who is the key of the attribute that names who requested a change.
const Who = "uid"

type limiter struct {
	next   slog.Handler
	about  string // the attributes of With that are part of the subject
	shared *subjects
}

type subjects struct {
	mu sync.Mutex
	of map[string]*subject
}

// subject is the limit of a subject, and its suppressed records.
type subject struct {
	lines   limit.Bucket
	leftOut int
	last    slog.Record  // the last suppressed record, logged with the next token
	by      slog.Handler // the handler for last
}

func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	var about strings.Builder
	about.WriteString(l.about)
	for _, a := range attrs {
		about.WriteString(aboutOf(a))
	}
	return &limiter{l.next.WithAttrs(attrs), about.String(), l.shared}
}

func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{l.next.WithGroup(name), l.about + name + ".", l.shared}
}

// aboutOf returns an attribute as part of a subject, "" if it is not: causes and times differ from line to line.
func aboutOf(a slog.Attr) string {
	switch a.Key {
	case "team", "member", "nic", "port":
		return a.Key + "=" + a.Value.String() + " "
	}
	return ""
}

func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return l.next.Handle(ctx, r)
	}
	var b strings.Builder
	b.WriteString(l.about + r.Message + " ")
	asked := false
	r.Attrs(func(a slog.Attr) bool {
		asked = asked || a.Key == Who
		b.WriteString(aboutOf(a))
		return true
	})
	if !asked && !l.shared.pass(b.String(), &r, l.next) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// pass reports whether to log a record now. If not, it stores the record, which is logged with the next token unless a
// later one replaces it.
func (s *subjects) pass(key string, r *slog.Record, by slog.Handler) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	sub := s.of[key]
	if sub == nil {
		if len(s.of) >= maxSubjects {
			s.evict(now)
		}
		sub = &subject{}
		s.of[key] = sub
	}
	if sub.leftOut == 0 {
		if sub.lines.Take(now, lineRate) {
			return true
		}
		time.AfterFunc(sub.lines.Next(lineRate).Sub(now), func() { s.emit(sub) })
	}
	sub.leftOut++
	sub.last, sub.by = r.Clone(), by
	return false
}

// emit logs the last suppressed record.
func (s *subjects) emit(sub *subject) {
	s.mu.Lock()
	r, by := sub.last, sub.by
	if sub.leftOut > 1 {
		r.AddAttrs(slog.Int(LeftOut, sub.leftOut-1))
	}
	sub.lines.Take(time.Now(), lineRate)
	sub.leftOut = 0
	sub.last, sub.by = slog.Record{}, nil
	s.mu.Unlock()
	_ = by.Handle(context.Background(), r) // the log itself failed
}

// evict removes idle subjects and, if all are busy, those without suppressed records.
func (s *subjects) evict(now time.Time) {
	for key, sub := range s.of {
		if sub.leftOut == 0 && !now.Before(sub.lines.Full()) {
			delete(s.of, key)
		}
	}
	for key, sub := range s.of {
		if len(s.of) < maxSubjects {
			return
		}
		if sub.leftOut == 0 {
			delete(s.of, key)
		}
	}
}
