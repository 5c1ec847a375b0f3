// SPDX-License-Identifier: MIT

package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nicteam/internal/control"
)

// TestOutputWaitsForView: what is written while a view has the terminal follows after it, whole and in order.
func TestOutputWaitsForView(t *testing.T) {
	var out strings.Builder
	d := &demo{out: &pausableWriter{w: &out}}
	if d.startView(t.Context()) != nil {
		t.Error("there is no view")
	}
	leave, shown := make(chan struct{}), errors.New("seen enough")
	d.view = func(context.Context, *control.Client, string) error { <-leave; return shown }
	fmt.Fprint(d.out, "before ")
	viewed := d.startView(t.Context())
	fmt.Fprint(d.out, "while ")
	if out.String() != "before " {
		t.Errorf("the view's terminal is written to: %q", out.String())
	}
	close(leave)
	if err := <-viewed; err != shown {
		t.Error(err)
	}
	fmt.Fprint(d.out, "after")
	if out.String() != "before while after" {
		t.Errorf("%q", out.String())
	}
}
