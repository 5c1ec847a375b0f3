// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"nicteam/internal/lab/vm"
)

// A reader reads the guest's report: what it does, and the figures at the end.
type reader struct {
	progress io.Writer
	name     string // of the boot, before each line of progress

	kernel  string // release and version
	task    string // that runs
	figures strings.Builder
	trouble []string
	done    bool
}

func (r *reader) read(from io.Reader) error {
	s := bufio.NewScanner(from)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		line := strings.TrimSuffix(s.Text(), "\r")
		e, ok, err := vm.ParseEvent(line)
		switch {
		case err != nil:
			return err
		case ok:
			r.readEvent(e)
		case r.task == telling:
			fmt.Fprintln(&r.figures, line)
		case line != "":
			fmt.Fprintf(r.progress, "%s: %s\n", r.name, strings.TrimSpace(line))
		}
	}
	return s.Err()
}

func (r *reader) readEvent(e vm.Event) {
	switch e.Kind {
	case vm.KernelIs:
		r.kernel = e.Text
	case vm.Begin:
		r.task = e.Text
	case vm.End:
		r.task = ""
		if e.Code != 0 {
			r.trouble = append(r.trouble, fmt.Sprintf("%s: %s", e.Package, e.Text))
		}
	case vm.Trouble:
		r.trouble = append(r.trouble, e.Text)
	case vm.Done:
		r.done = true
	}
}

// verdict returns an error unless the guest ended well.
func (r *reader) verdict() error {
	switch {
	case len(r.trouble) > 0:
		return fmt.Errorf("the guest: %s", strings.Join(r.trouble, "; "))
	case r.kernel == "":
		return errors.New("the kernel did not come to measure")
	case !r.done:
		return errors.New("the guest ended before its report did")
	}
	return nil
}
