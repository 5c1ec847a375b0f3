// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/metrics"
)

// textfileName is the file in the directory of node_exporter's textfile collector, which reads *.prom. One file has all
// teams, so that a team that is gone has no line.
const textfileName = "nicteam.prom"

// leastTextfileInterval bounds how often it is written.
const leastTextfileInterval = time.Second

// textfileFlags are the flags of metrics about the textfile.
type textfileFlags struct {
	dir      string
	interval time.Duration // 0: once
}

func (t *textfileFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&t.dir, "textfile", "", "write node_exporter's metrics of bonds to `DIR`/"+textfileName)
	c.Flags().DurationVar(&t.interval, "interval", 0, "write the textfile again after this time, at least 1s (once)")
	_ = c.MarkFlagDirname("textfile")
}

// check refuses flags and a directory that cannot be.
func (t *textfileFlags) check(cmd *cobra.Command) error {
	bad := func(what, why, fix string) error {
		return &api.Problem{Kind: api.Usage, What: what, Why: why, Fix: fix}
	}
	f := cmd.Flags()
	if !f.Changed("textfile") {
		if f.Changed("interval") {
			return bad("metrics: --interval without --textfile", "it says how often the textfile is written",
				"use --textfile DIR --interval 15s")
		}
		return nil
	}
	if f.Changed("listen") {
		return bad("metrics: --textfile with --listen", "one process does one of them",
			"start a second nicteam metrics")
	}
	if f.Changed("interval") && t.interval < leastTextfileInterval {
		return bad(fmt.Sprintf("--interval: %v", t.interval), "want 1s or more", "use --interval 15s")
	}
	const fix = "use the directory of node_exporter's --collector.textfile.directory"
	if t.dir == "" {
		return bad("--textfile: directory missing", "want a directory", fix)
	}
	switch st, err := os.Stat(t.dir); {
	case errors.Is(err, fs.ErrNotExist):
		return bad("--textfile "+t.dir+": no such directory", "node_exporter reads a directory that exists",
			fix+", or make it: mkdir -p "+t.dir)
	case err != nil:
		return t.problem(err)
	case !st.IsDir():
		return bad("--textfile "+t.dir+": not a directory", "the file in it is "+textfileName, fix)
	}
	return nil
}

// problem is an error about the directory.
func (t *textfileFlags) problem(err error) *api.Problem {
	return &api.Problem{Kind: writeKind(err), What: "write " + t.path(), Why: cause(err),
		Fix: "use a directory that this user may write to", Err: err}
}

func (t *textfileFlags) path() string { return filepath.Join(t.dir, textfileName) }

// writeTextfile writes the file once or until a signal. What the first writing cannot do ends it; later ones are
// repeated. What ends it takes the file away: nobody would say that its lines are old.
func (a *app) writeTextfile(t *textfileFlags) error {
	ctx := a.listen(changesHost) // a terminal that is closed ends it too
	running, err := a.teams(nil)
	if err != nil {
		return err
	}
	if err := a.permitted(running); err != nil {
		return err
	}
	if t.interval == 0 {
		return a.writeTextfileOnce(t, func(name string, err error) {
			a.warn(a.problem(err).What + ": " + a.problem(err).Why)
		})
	}
	a.stream = true
	log := a.log(slog.LevelInfo)
	failed := func(name string, err error) { log.Debug("no answer", "team", name, "err", err) }
	if err := a.writeTextfileOnce(t, failed); err != nil {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return err
	}
	defer atomicfile.Remove(t.path())
	log.Info("writing metrics", "file", t.path(), "interval", t.interval)
	ticks := time.NewTicker(t.interval)
	defer ticks.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return ended(ctx)
		case <-ticks.C:
		}
		text := ""
		if err := a.writeTextfileOnce(t, failed); err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		switch {
		case text == told:
		case text == "":
			log.Info("metrics written again", "file", t.path())
		default:
			log.Warn("metrics not written", "file", t.path(), "err", text)
		}
		told = text
	}
}

// writeTextfileOnce replaces the file in one step.
func (a *app) writeTextfileOnce(t *textfileFlags, failed func(name string, err error)) error {
	var b bytes.Buffer
	bonds := metrics.Bonding{Host: a.hostMetrics(failed), Members: a.configuredMembers}
	if err := metrics.Write(&b, bonds); err != nil {
		return err
	}
	if err := a.interruptible().Err(); err != nil { // teams had no time to answer
		return err
	}
	// node_exporter is another user. Nothing waits for the disk: after a crash of the host it is written anew.
	err := atomicfile.Replace(t.path(), 0o644, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
	if err != nil {
		return t.problem(err)
	}
	return nil
}

// configuredMembers is how many members a team has by its last running configuration.
func (a *app) configuredMembers(name string) (int, bool) {
	l, err := config.Load(config.Options{Team: name, Path: a.dirs.RunningConfig(name)})
	if err != nil {
		return 0, false
	}
	return len(l.Config.Members), true
}
