// SPDX-License-Identifier: MIT

package logs

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer is written to by timers, too.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// lines is a log without times.
func lines(b *buffer) *slog.Logger {
	return slog.New(Limit(slog.NewTextHandler(b,
		&slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})))
}

// TestLimitOfFlapping: a link that flaps for twenty seconds is told of as it begins, leaves a line of each kind in ten
// seconds, and what it came to is told in the end.
func TestLimitOfFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b buffer
		log := lines(&b).With("team", "team0")
		flap := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				log.Warn("member-down", "member", "eth2", "reason", "carrier lost", "took",
					time.Duration(time.Now().UnixNano()%1000))
				time.Sleep(50 * time.Millisecond)
				log.Info("member-up", "member", "eth2")
				time.Sleep(50 * time.Millisecond)
			}
		}
		flap(5 * time.Second)
		if n := strings.Count(b.String(), "\n"); n != 2*burst {
			t.Errorf("%d lines in the first seconds, want %d:\n%s", n, 2*burst, &b)
		}
		b.Reset()
		flap(20 * time.Second)
		if n := strings.Count(b.String(), "\n"); n < 2 || n > 6 {
			t.Errorf("%d lines in 20 s:\n%s", n, &b)
		}
		if !strings.Contains(b.String(), `msg=member-up team=team0 member=eth2 left_out=`) {
			t.Errorf("nothing says how many were left out:\n%s", &b)
		}
		b.Reset()
		log.Info("member-up", "member", "eth2", "last", true)
		time.Sleep(2 * refill)
		if !strings.Contains(b.String(), "last=true") {
			t.Errorf("the last state is not told:\n%s", &b)
		}
		b.Reset()
		time.Sleep(burst * refill)
		for range burst {
			log.Info("member-up", "member", "eth2")
		}
		if n := strings.Count(b.String(), "\n"); n != burst || strings.Contains(b.String(), LeftOut) {
			t.Errorf("%d lines after a rest, want %d:\n%s", n, burst, &b)
		}
	})
}

// TestLimitIsPerSubject: what is about another member, another team or something else is not held back.
func TestLimitIsPerSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b buffer
		log := lines(&b)
		for range 100 {
			log.Warn("member-down", "member", "eth1")
		}
		b.Reset()
		log.Warn("member-down", "member", "eth2")
		log.With("team", "team1").Warn("member-down", "member", "eth1")
		log.WithGroup("g").Warn("member-down", "member", "eth1")
		log.Warn("flooding", "member", "eth1")
		for range 30 {
			log.Debug("LACPDU", "member", "eth1")
		}
		for range 30 {
			log.Info("change asked for", "what", "set hash=layer2", "uid", 0, "pid", 7)
		}
		if n := strings.Count(b.String(), "\n"); n != 64 {
			t.Errorf("%d lines, want 64:\n%s", n, &b)
		}
		time.Sleep(refill + time.Millisecond)
	})
}

// TestLimitForgets: the memory is bounded, and what was left out is told all the same.
func TestLimitForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b buffer
		h := Limit(slog.NewTextHandler(&b, nil))
		log := slog.New(h)
		for range burst + 2 {
			log.Info("busy")
		}
		for i := range 4 * maxSubjects {
			log.Info(fmt.Sprint("about ", i))
		}
		if n := len(h.(*limiter).shared.of); n > maxSubjects {
			t.Errorf("%d subjects are kept", n)
		}
		b.Reset()
		time.Sleep(refill + time.Millisecond)
		if !strings.Contains(b.String(), "msg=busy left_out=1") {
			t.Errorf("what was left out is forgotten:\n%s", &b)
		}
	})
}
