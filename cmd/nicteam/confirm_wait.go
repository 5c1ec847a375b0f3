// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/pending"
	"nicteam/internal/ssh"
)

// standardConfirm is how long a change over SSH stands without a confirmation.
const standardConfirm = 60 * time.Second

// confirmFlag adds --confirm to a verb that changes the network.
func confirmFlag(flags *pflag.FlagSet) *string {
	return flags.String("confirm", "",
		"revert the change after `TIME` (1s to 24h) unless it is confirmed; 0: do not (default 60s over SSH, else 0)")
}

// changeOptions are the options of a change of NICs: how long it waits for confirmation, and the SSH session that goes
// by them. Without --confirm it waits if it may cut somebody off who works over SSH: the caller, or where a person has
// typed it, anybody. -y answers for it.
func (a *app) changeOptions(confirm string, nics []string) (o control.ChangeOptions, err error) {
	o.Accept = a.yes
	if o.Confirm, err = control.ParseConfirm(confirm); err != nil {
		return o, err
	}
	sessions := ssh.ByNIC(nics...)
	if len(sessions) == 0 {
		return o, nil
	}
	o.Session = sessions[0].Connection
	if confirm == "" && !a.yes && (sessions[0].Caller || terminal(os.Stdin)) {
		o.Confirm = standardConfirm
	}
	return o, nil
}

// changeTeamOptions is changeOptions of a change of a running team, and of NICs that are to join it.
func (a *app) changeTeamOptions(c *control.Client, confirm string, more ...string) (control.ChangeOptions, error) {
	if _, err := control.ParseConfirm(confirm); err != nil {
		return control.ChangeOptions{}, err
	}
	st, err := c.Status(a.interruptible())
	if err != nil { // the change itself says why
		return a.changeOptions(confirm, more)
	}
	nics := append([]string{st.Adapter.Name}, more...)
	for _, m := range st.Members {
		nics = append(nics, m.Name)
	}
	return a.changeOptions(confirm, nics)
}

// inForeground reports whether reading the terminal would not stop this process.
func inForeground() bool {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// A wait shows how long a change still stands, and takes Enter for a confirmation, on a terminal.
type wait struct {
	a     *app
	name  string
	enter chan struct{} // nil: nobody to press it
	shown string        // the line on the terminal
	once  sync.Once
}

func (a *app) newWait(name string, r *pending.Record) *wait {
	w := &wait{a: a, name: name}
	if a.json || a.quiet || r == nil {
		return w
	}
	if !terminal(os.Stdin) || !terminal(a.err) || !inForeground() {
		a.say("waits %v for: nicteam confirm %s", r.Left().Round(time.Second), name)
		return w
	}
	// What was typed before the question, such as the next line of a pasted script, is no answer.
	_ = unix.IoctlSetInt(int(os.Stdin.Fd()), unix.TCFLSH, unix.TCIFLUSH)
	w.enter = make(chan struct{}, 1)
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			w.enter <- struct{}{}
		}
	}()
	return w
}

// show updates the line on the terminal.
func (w *wait) show(r *pending.Record) {
	if w == nil || w.enter == nil || r == nil {
		return
	}
	text := fmt.Sprintf("%s: reverted in %.0f s. Enter keeps it; elsewhere: nicteam confirm %s", r.Change,
		r.Left().Round(time.Second).Seconds(), w.name)
	if text != w.shown {
		_, _ = fmt.Fprintf(w.a.err, "\r%s\x1b[K", text)
		w.shown = text
	}
}

// end leaves the line.
func (w *wait) end() {
	w.once.Do(func() {
		if w.shown != "" {
			_, _ = fmt.Fprintln(w.a.err)
		}
	})
}

// Waiting for what becomes of a change.
const (
	outcomeLook = 100 * time.Millisecond
	// outcomeGrace is how long after its deadline a change may take to be reverted. A delete is by a new start.
	outcomeGrace = 60 * time.Second
	// outcomeGone is how long there may be neither the record of a change nor an outcome.
	outcomeGone = 2 * time.Second
)

// awaitOutcome waits for what becomes of the change with that record, nil if it has come to that already. It reads
// files: the process that ends the change may be another one than made it, or the last of the team.
func (a *app) awaitOutcome(name string, was *pending.Record, w *wait) (*pending.Outcome, error) {
	ctx := a.interruptible()
	var enter chan struct{}
	if w != nil {
		enter = w.enter
	}
	tick := time.NewTicker(outcomeLook)
	defer tick.Stop()
	var due, gone time.Time
	for {
		o, err := pending.LoadOutcome(a.dirs.OutcomeFile(name))
		if err == nil && (was == nil || o.Since.Equal(was.Since)) {
			return o, nil
		}
		now := time.Now()
		r := a.dirs.Pending(name)
		w.show(r)
		switch {
		case r == nil && gone.IsZero():
			gone = now
		case r == nil && now.Sub(gone) > outcomeGone:
			return nil, &api.Problem{Kind: api.Failed, What: "wait for a confirmation of " + name,
				Why: "what became of the change is not known", Fix: "nicteam status " + name}
		case r != nil && r.Left() > 0:
			due, gone = time.Time{}, time.Time{}
		case r != nil && due.IsZero():
			due = now
		case r != nil && now.Sub(due) > outcomeGrace:
			return nil, &api.Problem{Kind: api.Failed, What: r.Change + " of " + name,
				Why: "its time is over, and it was not reverted: no process of the team has done it",
				Fix: "read " + a.dirs.LogFile(name) + ", then: nicteam restore " + name}
		}
		select {
		case <-enter:
			enter = nil
			if _, err := a.decide(ctx, name, (*control.Client).Confirm); err != nil {
				a.warn("not confirmed: " + err.Error())
			}
		case <-tick.C:
		case <-ctx.Done():
			return nil, a.stillWaits(name, r)
		}
	}
}

// stillWaits is the end of a command whose user does not wait.
func (a *app) stillWaits(name string, r *pending.Record) error {
	p := &api.Problem{Kind: api.Interrupted, What: "interrupted", Why: "the change still waits for confirmation",
		Fix: fmt.Sprintf("nicteam confirm %s keeps it, nicteam revert %s undoes it at once", name, name)}
	if r != nil {
		p.Why = fmt.Sprintf("%s still waits for confirmation, and is reverted in %v", r.Change,
			r.Left().Round(time.Second))
	}
	return p
}
