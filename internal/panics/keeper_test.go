// SPDX-License-Identifier: MIT

package panics

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/api"
)

func fatal(k *Keeper) error {
	select {
	case err := <-k.Fatal():
		return err
	default:
		return nil
	}
}

func TestDoKeepsWhatPanicked(t *testing.T) {
	var log bytes.Buffer
	k := New(slog.New(slog.NewTextHandler(&log, nil)))
	var told []api.Panic
	k.OnPanic(func(p api.Panic) { told = append(told, p) })
	if !k.Do("calm", func() {}) || len(k.List()) != 0 {
		t.Fatal("what panics not is kept")
	}
	if k.Do("announcer", func() { panic(errors.New("no way")) }) {
		t.Error("a panic counts as the end")
	}
	list := k.List()
	if len(list) != 1 || list[0].Where != "announcer" || list[0].Value != "no way" || list[0].Count != 1 ||
		list[0].Time.IsZero() {
		t.Fatalf("kept %+v", list)
	}
	if s := list[0].Stack; !strings.HasPrefix(s, "panic(") || !strings.Contains(s, "TestDoKeepsWhatPanicked") {
		t.Errorf("stack:\n%s", s)
	}
	if len(told) != 1 || !strings.Contains(log.String(), "no way") {
		t.Errorf("told %v, log %s", told, log.String())
	}
}

func TestThirdOfAKindEndsTheProcess(t *testing.T) {
	for _, tt := range []struct {
		name string
		gap  time.Duration
		kind [3]string
		want bool
	}{
		{"at once", 0, [3]string{"a", "a", "a"}, true},
		{"within ten seconds", 5 * time.Second, [3]string{"a", "a", "a"}, true},
		{"over more than ten", 5*time.Second + 1, [3]string{"a", "a", "a"}, false},
		{"of two kinds", 0, [3]string{"a", "b", "a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := New(nil)
				for i, where := range tt.kind {
					if i > 0 {
						time.Sleep(tt.gap)
					}
					if err := fatal(k); err != nil {
						t.Errorf("after %d: %v", i, err)
					}
					k.Do(where, func() { panic("x") })
				}
				if err := fatal(k); (err != nil) != tt.want {
					t.Errorf("fatal %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// Whoever finds a frame that panics can send it as often as he likes.
func TestFramesNeverEndTheProcess(t *testing.T) {
	var log bytes.Buffer
	k := New(slog.New(slog.NewTextHandler(&log, nil)))
	b := bytes.Repeat([]byte{0xab}, 1514)
	for range 1000 {
		func() {
			defer func() { k.Frame(recover(), b) }()
			panic("bad frame")
		}()
	}
	if err := fatal(k); err != nil {
		t.Error(err)
	}
	list := k.List()
	if len(list) != 1 || list[0].Count != 1000 ||
		list[0].Input != "frame of 1514 octets: "+strings.Repeat("ab", frameKept) {
		t.Errorf("kept %+v", list)
	}
	if n := strings.Count(log.String(), "bad frame"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestAgainBeginsAnewUntilItReturns(t *testing.T) {
	k, n := New(nil), 0
	k.Restart(t.Context(), "x", func() {
		if n++; n < 3 {
			panic("x")
		}
	})
	if n != 3 {
		t.Errorf("began %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.Restart(ctx, "y", func() { n++; panic("y") })
	if n != 4 {
		t.Errorf("began %d times once it was to end", n-3)
	}
	k.Restart(t.Context(), "z", func() { n++; panic("z") })
	if n != 4+fatalCount || !k.Failed() {
		t.Errorf("began %d times", n-4)
	}
}
