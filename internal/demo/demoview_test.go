package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nicteam/internal/control"
)

// TestStoryWaitsForView: what is told while a view has the terminal comes after it, in order and whole.
func TestStoryWaitsForView(t *testing.T) {
	var out strings.Builder
	told := &story{w: &out}
	d := &demo{w: told, told: told}
	if d.open(t.Context()) != nil {
		t.Error("there is no view")
	}
	leave, shown := make(chan struct{}), errors.New("seen enough")
	d.view = func(context.Context, *control.Client, string) error { <-leave; return shown }
	fmt.Fprint(d.w, "before ")
	viewed := d.open(t.Context())
	fmt.Fprint(d.w, "while ")
	if out.String() != "before " {
		t.Errorf("the view's terminal is written to: %q", out.String())
	}
	close(leave)
	if err := <-viewed; err != shown {
		t.Error(err)
	}
	fmt.Fprint(d.w, "after")
	if out.String() != "before while after" {
		t.Errorf("%q", out.String())
	}
}
