// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/export"
)

// exportFlags is what the flags of export say.
type exportFlags struct {
	format, file string
	last, step   time.Duration
	picture      export.Picture
	as           export.Format
}

func (a *app) exportCmd() *cobra.Command {
	var e exportFlags
	c := &cobra.Command{
		Use:   "export TEAM[/NIC]",
		Short: "Save what a team carried as a picture or a table",
		Long: `Saves what a team, or one of its NICs, carried: svg and png are the graph of nicteam watch, csv has a
line a step and series, json is the document nicteam.history/v1, md is a summary for a ticket. Without
--format the end of the file's name says it. A file that exists is replaced when the new one is whole.

A team remembers each second of the last hour and ten seconds each of the last day.`,
		Example: `  nicteam export team0 --last 1h --format svg -o team0.svg
  nicteam export team0/eth1 --last 10m -o eth1.png --view protocol --dark
  nicteam export team0 --last 24h --step 1m --format csv -o - | head
  nicteam export team0 --format md -o -`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			if err := e.settle(); err != nil {
				return err
			}
			name, nic, _ := strings.Cut(given[0], "/")
			return a.export(name, nic, &e)
		},
	}
	f := c.Flags()
	f.StringVarP(&e.file, "output", "o", "", "the file to write, - for stdout")
	f.StringVar(&e.format, "format", "", export.Formats()+" (the end of the file's name)")
	f.DurationVar(&e.last, "last", time.Hour, "the period before now")
	f.DurationVar(&e.step, "step", 0, "length of a column, 1s or more (one that makes a few hundred)")
	f.IntVar(&e.picture.Width, "width", 0, "of a picture in pixels (960)")
	f.IntVar(&e.picture.Height, "height", 0, "of a picture in pixels (480)")
	f.StringVar(&e.picture.Unit, "unit", "auto", "of a picture: auto, packets, kbit, mbit or gbit")
	f.StringVar(&e.picture.View, "view", "nic", "of a picture: nic, protocol or total")
	f.StringVar(&e.picture.Scale, "scale", "fit", "of a picture: fit, link, log, or a value such as 500M")
	f.BoolVar(&e.picture.Dark, "dark", false, "colours for a dark background (an SVG without it follows the viewer)")
	return c
}

// settle checks the flags and reads the format.
func (e *exportFlags) settle() (err error) {
	bad := func(flag, value, why, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--%s: %q", flag, value), Why: why, Fix: fix}
	}
	if e.file == "" {
		return &api.Problem{Kind: api.Usage, What: "export: no file is given", Why: "somewhere it has to go",
			Fix: "write -o FILE, or -o - for stdout"}
	}
	format := e.format
	if format == "" {
		if format = strings.TrimPrefix(filepath.Ext(e.file), "."); format == "" {
			return &api.Problem{Kind: api.Usage, What: "export: no format is given",
				Why: "and the name of the file does not say it", Fix: "write --format with one of " + export.Formats()}
		}
	}
	if e.as, err = export.ParseFormat(format); err != nil {
		return bad("format", format, err.Error(), "write --format svg")
	}
	var b *export.BadOption
	if errors.As(e.picture.Check(), &b) {
		return bad(b.Name, b.Value, b.Err.Error(), "write --"+b.Name+" "+b.Instead)
	}
	return nil
}

// export makes the whole before the file is touched.
func (a *app) export(name, nic string, e *exportFlags) error {
	t, err := a.traffic(a.interruptible(), name, nic, e)
	if err != nil {
		return err
	}
	if t.Known() == 0 {
		what := name
		if nic != "" {
			what += "/" + nic
		}
		return &api.Problem{Kind: api.Failed, What: fmt.Sprintf("export %s: nothing is known of the last %v", what,
			e.last), Why: "the team did not run then, or has just begun to", Fix: "take a longer period: --last 24h"}
	}
	var b bytes.Buffer
	if err := export.Write(&b, e.as, t); err != nil {
		return err
	}
	if e.file == "-" {
		if e.as == export.PNG && terminal(a.out) {
			return &api.Problem{Kind: api.Usage, What: "export: a PNG is nothing for a terminal", Why: "it is not text",
				Fix: "write -o FILE, or pass it on with |"}
		}
		_, err := a.out.Write(b.Bytes())
		return err
	}
	if err := replace(e.file, b.Bytes()); err != nil {
		return &api.Problem{Kind: writeKind(err), What: "write " + e.file, Why: cause(err),
			Fix: "take a path in a directory that you may write to", Err: err}
	}
	return a.showSteps(name, []string{fmt.Sprintf("wrote %s: %s, %d bytes", e.file, e.as, b.Len())})
}

// traffic asks the team for what is to be written.
func (a *app) traffic(ctx context.Context, name, nic string, e *exportFlags) (t export.Traffic, err error) {
	c := a.client(name)
	defer c.Close()
	t = export.Traffic{Location: time.Local, Picture: e.picture}
	if t.Status, err = c.Status(ctx); err != nil {
		return t, err
	}
	t.History, err = c.History(ctx, control.HistoryOptions{Last: e.last, Step: e.step, Member: nic})
	return t, err
}

// writeKind is the exit code for a file that cannot be written.
func writeKind(err error) api.ExitCode {
	if os.IsPermission(err) {
		return api.NotPermitted
	}
	return api.Failed
}

// cause leaves out the name of the file beside the one asked for that was to become it.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
