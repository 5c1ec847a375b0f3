// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
)

func (a *app) editCmd() *cobra.Command {
	e := &edit{a: a}
	var confirm *string
	var dry *bool
	c := &cobra.Command{
		Use:   "edit TEAM",
		Short: "Change TEAM.yaml in an editor, and the team with it",
		Long: `Opens TEAM.yaml in $VISUAL or $EDITOR (else vi or nano). What is saved is checked, and a running team
is made what it says, as by nicteam apply: all of it or nothing. Faults are shown, and the text can be edited again.
Then the text is written to TEAM.yaml as it is, with its comments. The file of a team that does not run is checked
and written; it is used when the team starts.

Nothing is changed if the text was not, if the editor fails, or if the file changed in the meantime.
` + dryRunHelp + `

` + confirmHelp,
		Example: `  nicteam edit team0
  EDITOR=nano nicteam edit team0
  nicteam edit team0 --confirm 2m`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			if _, err := control.ParseConfirm(*confirm); err != nil {
				return err
			}
			e.name, e.confirm, e.dry = given[0], *confirm, *dry
			return e.run()
		},
	}
	c.Flags().BoolVar(&e.force, "force", false, "accept what would lose its traffic or stop applying; "+forceHelp)
	confirm, dry = confirmFlag(c.Flags()), dryRunFlag(c.Flags())
	return c
}

// edit is a run of nicteam edit.
type edit struct {
	a          *app
	name       string // the team
	confirm    string
	force, dry bool

	path string // the file
	was  string // its text
	copy *scratch
}

// errEditAgain: the user wants the text back.
var errEditAgain = errors.New("edit again")

// run edits until the text is used, or the user has enough.
func (e *edit) run() error {
	running, err := e.begin()
	if err != nil {
		return err
	}
	if e.copy, err = newScratch(e.name+".yaml", e.was); err != nil {
		return &api.Problem{Kind: api.Failed, What: "edit " + e.name, Why: err.Error(),
			Fix: "check free space and permissions in " + os.TempDir(), Err: err}
	}
	e.warnDiffers(running)
	for {
		text, err := e.copy.edit(e.a)
		switch {
		case err != nil:
			e.copy.remove()
			return err
		case text == e.was:
			e.copy.remove()
			return e.unchanged()
		}
		err = e.use(text)
		var p *api.Problem
		if err != nil {
			p = e.a.problem(err)
		}
		e.a.unlisten()
		switch {
		case err == nil:
			e.copy.remove()
			return nil
		case errors.Is(err, errEditAgain):
		case e.stale() || !e.mends(p):
			p.Fix += "; the edited text is in " + e.copy.path
			return p
		default:
			if !e.again(p) {
				_, _ = fmt.Fprintln(e.a.err, "the edited text is in "+e.copy.path)
				return exitCode(p.Kind)
			}
		}
	}
}

// begin finds the file of the team and reads it. It waits for no team.
func (e *edit) begin() (running bool, err error) {
	c := e.a.client(e.name)
	defer c.Close()
	st, err := c.Status(e.a.interruptible())
	e.a.unlisten()
	p, ok := errors.AsType[*api.Problem](err)
	if err == nil {
		err = c.MayChange("edit " + e.name)
	}
	if err != nil && (!ok || p.Kind != api.NotFound) {
		return false, err
	}
	if st != nil && st.Pending != nil {
		return true, &api.Problem{Kind: api.Conflict, What: "edit " + e.name,
			Why: "another change waits for confirmation: " + st.Pending.Change,
			Fix: fmt.Sprintf("nicteam confirm %s keeps it, nicteam revert %s undoes it", e.name, e.name)}
	}
	e.path = e.a.dirs.ConfigFile(e.name)
	if st != nil {
		e.path = e.a.dirs.EditedFile(e.name)
	}
	e.was, err = config.ReadText(e.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && st == nil:
		return false, p // no team, no file
	case err != nil:
		return false, &api.Problem{Kind: writeKind(err), What: "read " + e.path, Why: cause(err),
			Fix: "use sudo, or check the file", Err: err}
	}
	return st != nil, nil
}

// warnDiffers says that the file is not what the team does, for saving it makes the team so.
func (e *edit) warnDiffers(running bool) {
	if !running || e.path != e.a.dirs.ConfigFile(e.name) {
		return
	}
	text, err := config.ReadText(e.a.dirs.RunningConfig(e.name))
	if err != nil {
		return
	}
	is, err := config.ParseFor(e.name, "", text)
	if err != nil {
		return
	}
	if says, err := config.ParseFor(e.name, "", e.was); err == nil && !config.Differ(&is, &says).Empty() {
		e.a.warn(fmt.Sprintf("%s is not what %s runs with: somebody changed it by hand", e.path, e.name))
	}
}

func (e *edit) unchanged() error {
	if e.a.json {
		return e.a.document(&api.Applied{Schema: api.ApplySchema, Team: e.name, Steps: []string{}})
	}
	e.a.say("%s is unchanged: nothing is done", e.path)
	return nil
}

// use makes the team what the text says. It does not matter whether the team ran when the text was opened.
func (e *edit) use(text string) error {
	a := e.a
	to, err := config.ParseFor(e.name, e.path, text)
	if err != nil {
		return err
	}
	for _, cost := range to.Costs() {
		a.warn(cost)
	}
	if e.stale() {
		return e.changed()
	}
	c := a.client(e.name)
	defer c.Close()
	st, err := c.Status(a.interruptible())
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Kind == api.NotFound {
		return e.write(text)
	}
	if err != nil {
		return err
	}
	w := wanted{text: control.Config{YAML: text, Was: config.Digest(e.was)}, confirm: e.confirm, force: e.force,
		dry: e.dry}
	if e.asks() && !a.yes {
		w.agree = e.agree
	}
	return a.applyTo(c, st, &to, w)
}

// stale reports whether somebody changed the file since it was read.
func (e *edit) stale() bool {
	now, err := config.ReadText(e.path)
	return err != nil || now != e.was
}

func (e *edit) changed() error {
	return &api.Problem{Kind: api.Conflict, What: "edit " + e.name, Why: e.path + " changed while it was edited",
		Fix: "nicteam edit " + e.name + " shows it as it is now"}
}

// write writes the file of a team that has no process.
func (e *edit) write(text string) error {
	a := e.a
	done := &api.Applied{Schema: api.ApplySchema, Team: e.name, Changed: true, Steps: []string{}}
	if e.dry {
		a.say("dry run: %s would be written; %s does not run", e.path, e.name)
	} else {
		if err := config.WriteText(e.path, text); err != nil {
			return &api.Problem{Kind: writeKind(err), What: "write " + e.path, Why: cause(err), Fix: "use sudo",
				Err: err}
		}
		done.Steps = append(done.Steps, fmt.Sprintf("wrote %s: %s uses it when it starts", e.path, e.name))
	}
	if a.json || len(done.Steps) > 0 {
		return a.showApplied(done)
	}
	return nil
}
