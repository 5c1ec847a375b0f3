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

// A subject is a message about one member: burst lines at once, then one each refill.
const (
	burst  = 8
	refill = 10 * time.Second
	// maxSubjects bounds the memory; with more at a time the limits begin anew.
	maxSubjects = 512
)

var lineRate = limit.Rate{Every: refill, Burst: burst}

// LeftOut is the attribute that says how many lines of the subject were left out before this one.
const LeftOut = "left_out"

// Limit passes records on, but of those that repeat only some: a link that flaps ten times a second is told of as it
// begins, and then with a line each ten seconds that says how many were left out. The last state is always told, ten
// seconds late at most. Records below Info are for who wants to see all, and pass.
func Limit(next slog.Handler) slog.Handler {
	return &limiter{next: next, shared: &subjects{of: map[string]*subject{}}}
}

// Who is the key of the attribute that says who asked for what a record tells of.
const Who = "uid"

type limiter struct {
	next   slog.Handler
	about  string // the attributes given to With that tell subjects apart
	shared *subjects
}

type subjects struct {
	mu sync.Mutex
	of map[string]*subject
}

// subject has the lines of a subject that may pass, and what was left out.
type subject struct {
	lines   limit.Bucket
	leftOut int
	last    slog.Record  // left out last, told when the next token is there
	by      slog.Handler // that last was given to
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

// aboutOf is an attribute as part of a subject, "" when it is none: causes and times differ from line to line.
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

// pass reports whether a record is to be told now. One that is not is kept, and told when it may be unless another
// comes.
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

// emit passes on the record that was left out last.
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
	_ = by.Handle(context.Background(), r) // nobody is left to tell
}

// evict makes room: subjects that are at rest go, and if all are busy, all that have nothing left out.
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
