// SPDX-License-Identifier: MIT

package pending

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"nicteam/internal/boot"
)

func TestRecordOverAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.pending")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	r := Begin(Add, "add eth3", time.Minute)
	if left := r.Left(); left != 0 {
		t.Errorf("%v left of a change that is not made, want 0: its process may have died in the middle", left)
	}
	r.Done()
	if left := r.Left(); left <= 59*time.Second || left > time.Minute {
		t.Errorf("%v left of a minute", left)
	}
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || got.Verb != Add || got.Change != "add eth3" || !got.Made || got.Until != r.Until {
		t.Errorf("read back: %+v, %v, want %+v", got, err, r)
	}
	st := got.Status()
	if wait := time.Until(st.Until); wait <= 58*time.Second || wait > time.Minute || st.Change != "add eth3" {
		t.Errorf("status %+v: reverted in %v", st, wait)
	}
}

// TestParse: what no process of this boot wrote is refused.
func TestParse(t *testing.T) {
	const now = time.Hour
	good := Record{Schema: Schema, Boot: "b", Verb: Set, Change: "set mode=xor", Confirm: time.Minute,
		Until: now + time.Minute, Made: true}
	b, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(b, "b", now); err != nil {
		t.Errorf("a good record is refused: %v", err)
	}
	if _, err := parse(b, "other", now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a record from before the boot: %v, want as if there were none", err)
	}
	if r, err := parse(b, "b", 2*now); err != nil || r.Until >= 2*now {
		t.Errorf("a record whose deadline is over is refused: %v", err)
	}
	for name, spoil := range map[string]func(*Record){
		"schema":       func(r *Record) { r.Schema = "nicteam.pending/v9" },
		"verb":         func(r *Record) { r.Verb = "destroy" },
		"no change":    func(r *Record) { r.Change = "" },
		"no time":      func(r *Record) { r.Confirm = 0 },
		"long":         func(r *Record) { r.Confirm = 25 * time.Hour },
		"far deadline": func(r *Record) { r.Until = now + 2*time.Minute },
		"MTU":          func(r *Record) { r.MTU = 1 << 20 },
	} {
		bad := good
		spoil(&bad)
		b, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := parse(b, "b", now); err == nil {
			t.Errorf("%s: accepted as %+v", name, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, _ := json.Marshal(Record{Schema: Schema, Boot: "b", Verb: Set, Change: "set mode=xor", Confirm: time.Minute,
		Until: time.Hour, Made: true})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b, "b", time.Hour)
		if err != nil {
			return
		}
		if r.Until > time.Hour+maxConfirm || r.Confirm <= 0 {
			t.Errorf("%s is %+v: it would stand for longer than anybody can ask for", b, r)
		}
	})
}

func FuzzParseOutcome(f *testing.F) {
	b, _ := json.Marshal(Outcome{Schema: OutcomeSchema, Boot: "b", Change: "create", Result: Reverted, At: boot.Time()})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := parseOutcome(b, "b"); err == nil && o.Change == "" {
			t.Errorf("%s is an outcome of nothing", b)
		}
	})
}

func TestOutcomeOverAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.outcome")
	end := Begin(Create, "create", time.Second).End(Reverted, "no confirmation came", nil, nil)
	if err := end.Save(path); err != nil {
		t.Fatal(err)
	}
	o, err := LoadOutcome(path)
	if err != nil || o.Result != Reverted || o.Reason != "no confirmation came" {
		t.Errorf("%+v, %v", o, err)
	}
}
