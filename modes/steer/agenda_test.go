package steer

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAgendaIsSorted(t *testing.T) {
	type entry struct {
		it item
		at time.Duration
	}
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		slow := map[item]time.Duration{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			it := item(rapid.IntRange(0, 40).Draw(t, "item"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				a.drop(it)
				delete(slow, it)
			default:
				at := time.Duration(rapid.IntRange(0, 20).Draw(t, "at"))
				a.set(it, at)
				slow[it] = at
			}
			if _, ok := slow[it]; a.has(it) != ok {
				t.Fatalf("has %d: %v", it, a.has(it))
			}
		}
		var want, got []entry
		for it, at := range slow {
			want = append(want, entry{it, at})
		}
		slices.SortFunc(want, func(x, y entry) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.it, y.it)) })
		for {
			it, at, ok := a.first()
			if !ok {
				break
			}
			got = append(got, entry{it, at})
			a.drop(it)
		}
		if !slices.Equal(want, got) {
			t.Errorf("want %v, got %v", want, got)
		}
	})
}
