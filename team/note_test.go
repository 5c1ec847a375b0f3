package team

import (
	"fmt"
	"slices"
	"testing"
)

// TestNotes: what was said of the start stays in the Status beside what stands, and makes nothing degraded.
func TestNotes(t *testing.T) {
	r := newRig(t, nil)
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	r.do(StartNotes{[]string{"one", "two"}})
	r.do(StartNotes{[]string{"two", "three"}})
	if s := r.l.Status(); s.State != "up" || s.Reason != "" || !slices.Equal(s.Warnings, []string{"one", "two", "three"}) {
		t.Errorf("state %s (%s), warnings %q", s.State, s.Reason, s.Warnings)
	}
	r.do(Warn{Key: "k", Text: "stands"})
	if s := r.l.Status(); s.State != "degraded" || s.Reason != "stands" || !slices.Equal(s.Warnings, []string{"stands", "one", "two", "three"}) {
		t.Errorf("state %s (%s), warnings %q", s.State, s.Reason, s.Warnings)
	}
	for i := range 1000 {
		r.do(StartNotes{[]string{fmt.Sprint(i)}})
	}
	if n := len(r.l.Status().Warnings); n > maxNotes+1 {
		t.Errorf("%d warnings", n)
	}
}
