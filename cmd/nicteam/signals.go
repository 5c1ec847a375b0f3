// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// A signalUse is what signals do to a verb. Signals are handled here and nowhere else.
//
//	             SIGINT, SIGTERM                 SIGHUP                                    SIGPIPE
//	asks         end it; a second kills          kills                                     kills
//	changesHost  end it; a second kills          ends it, unless it was ignored (nohup)    ignored: the change is
//	                                                                                       finished
//	keepsTeam    end it, by a signal to its child  ignored                                 ignored
//	runsTeam     give the host back and end it,  on a terminal as SIGINT, unless it was    ignored
//	             exit 0, also during a start;    ignored (nohup); else reopens the log
//	             a second changes nothing
type signalUse int

const (
	asks        signalUse = iota // a running team, or looks at the host
	changesHost                  // in its own process: create, restore; metrics --textfile removes its file
	keepsTeam                    // behind the team's process: keeper
	runsTeam                     // as the team's process: run, create --foreground
)

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ sig os.Signal }

func (i interrupted) Error() string { return "stopped by the signal " + i.sig.String() }

// interruptible is the context of a verb that asks.
func (a *app) interruptible() context.Context { return a.listen(asks) }

// listen returns the context that signals cancel. The first call decides the use; later calls return the same context.
func (a *app) listen(use signalUse) context.Context {
	if a.ctx != nil {
		return a.ctx
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	a.ctx = ctx
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	var others []os.Signal
	switch {
	case !signal.Ignored(syscall.SIGHUP) && (use == changesHost || use == runsTeam && onTerminal()):
		ends = append(ends, syscall.SIGHUP)
	case use == runsTeam, use == keepsTeam:
		others = append(others, syscall.SIGHUP)
	}
	if use != asks {
		others = append(others, syscall.SIGPIPE) // else a write to a closed stdout kills
	}
	reopen := make(chan os.Signal, 1)
	a.reopenLog = reopen
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, slices.Concat(ends, others)...)
	a.ignore = func() { signal.Stop(sigs); close(sigs) }
	go func() {
		for s := range sigs {
			switch {
			case slices.Contains(ends, s):
				cancel(interrupted{s})
				if use != runsTeam && use != keepsTeam {
					signal.Reset(ends...)
				}
			case s == syscall.SIGHUP:
				select {
				case reopen <- s:
				default:
				}
			}
		}
	}()
	return ctx
}

// unlisten undoes listen, for a verb that waits for another program on the terminal and then goes on.
func (a *app) unlisten() {
	if a.ignore != nil {
		a.ignore()
	}
	a.ctx, a.ignore = nil, nil
}

// leaveKeys leaves the keys that interrupt to a program that has the terminal, until restore is called. They are not
// ignored, for the program would inherit that.
func leaveKeys() (restore func()) {
	keys := make(chan os.Signal, 1)
	signal.Notify(keys, syscall.SIGINT, syscall.SIGQUIT)
	return func() { signal.Stop(keys) }
}

// onTerminal reports whether the process has a controlling terminal: SIGHUP then means that it was closed.
func onTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
