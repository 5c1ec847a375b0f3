// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/config"
)

// scratch is a copy of a file for an editor, in a directory that others cannot read or write.
type scratch struct{ path string }

func newScratch(name, text string) (*scratch, error) {
	dir, err := os.MkdirTemp("", "nicteam-edit-")
	if err != nil {
		return nil, err
	}
	s := &scratch{filepath.Join(dir, name)}
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *scratch) remove() { _ = os.RemoveAll(filepath.Dir(s.path)) }

// edit has the user edit the copy, and returns what was saved.
func (s *scratch) edit(a *app) (string, error) {
	words, err := a.editor()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(words[0], append(words[1:], s.path)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = a.env, os.Stdin, os.Stdout, os.Stderr
	if a.json {
		cmd.Stdout = os.Stderr // the document alone is on stdout
	}
	restore := leaveKeys()
	err = cmd.Run()
	restore()
	if err != nil {
		return "", editorProblem(words, err)
	}
	text, err := config.ReadText(s.path)
	if err != nil {
		return "", editorProblem(words, err)
	}
	return text, nil
}

func editorProblem(words []string, err error) error {
	return &api.Problem{Kind: api.Failed, What: "editor " + strings.Join(words, " "),
		Why: err.Error() + "; nothing is changed", Fix: "set EDITOR to an editor that works here", Err: err}
}

// editor returns the words of $VISUAL or $EDITOR, else an editor that is there.
func (a *app) editor() ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if words := strings.Fields(a.getenv(name)); len(words) > 0 {
			return words, nil
		}
	}
	standard := []string{"vi", "nano"}
	for _, name := range standard {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, nil
		}
	}
	return nil, &api.Problem{Kind: api.Failed, What: "edit: no editor found",
		Why: "neither VISUAL nor EDITOR is set, and there is no " + strings.Join(standard, " or "),
		Fix: "EDITOR=/path/to/editor nicteam edit …; sudo passes it on with --preserve-env=EDITOR"}
}

// asks reports whether there is somebody to ask.
func (e *edit) asks() bool {
	a := e.a
	return !a.json && !a.quiet && terminal(os.Stdin) && terminal(a.err) && inForeground()
}

// mends reports whether somebody is there to mend a problem in the text.
func (e *edit) mends(p *api.Problem) bool {
	return e.asks() && (p.Kind == api.Usage || p.Kind == api.NotFound || p.Kind == api.Conflict)
}

// again shows what is wrong with a text, and asks whether to edit it again.
func (e *edit) again(p *api.Problem) bool {
	_ = e.a.fail(p)
	return e.ask("Edit it again? [Y/n] ", "yn") == 'y'
}

// agree shows what a change would do, and asks whether to make it.
func (e *edit) agree(plan *api.Plan) error {
	e.a.showPlan(plan, planHead)
	if e.dry {
		return nil
	}
	switch e.ask("Make this change? [Y]es, [e]dit again, [n]o ", "yen") {
	case 'y':
		return nil
	case 'e':
		return errEditAgain
	}
	return &api.Problem{Kind: api.Interrupted, What: "edit " + e.name, Why: "the change was not wanted",
		Fix: "nothing is changed"}
}

// ask waits for one of the letters; Enter is the first of them, the end of the input the last.
func (e *edit) ask(question, letters string) byte {
	// What was typed before the question is no answer.
	_ = unix.IoctlSetInt(int(os.Stdin.Fd()), unix.TCFLSH, unix.TCIFLUSH)
	for {
		_, _ = fmt.Fprint(e.a.err, question)
		line, err := readLine()
		line = strings.ToLower(strings.TrimSpace(line))
		switch {
		case err != nil:
			return letters[len(letters)-1]
		case line == "":
			return letters[0]
		case slices.Contains([]byte(letters), line[0]):
			return line[0]
		}
	}
}

// readLine reads a line and nothing behind it: the wait for a confirmation reads from the terminal, too.
func readLine() (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := os.Stdin.Read(b)
		switch {
		case n > 0 && b[0] == '\n':
			return string(line), nil
		case n > 0:
			line = append(line, b[0])
		case err != nil:
			return string(line), err
		default:
			return string(line), errors.New("end of input")
		}
	}
}
