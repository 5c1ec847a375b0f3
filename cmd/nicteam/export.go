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
	"nicteam/internal/tui"
)

// exportFlags are the flags of export.
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
		Short: "Save the traffic of a team as a picture or a table",
		Long: `Saves the traffic of a team or of one NIC: svg and png are the graph of nicteam watch, csv has one
line per step and series, json is the document nicteam.history/v1, md is a summary for a ticket. The
default format follows the file's extension. An existing file is replaced in one step.

A team records the last hour in seconds and the last day in steps of ten seconds.`,
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
	f.StringVarP(&e.file, "output", "o", "", "output `file`, - for stdout")
	f.Var(oneOf(&e.format, "", export.FormatNames()), "format", export.Formats()+" (the file's extension)")
	f.DurationVar(&e.last, "last", time.Hour, "the period before now")
	f.DurationVar(&e.step, "step", 0, "length of a column, at least 1s (gives a few hundred columns)")
	f.IntVar(&e.picture.Width, "width", 0, "width of the picture in pixels (960)")
	f.IntVar(&e.picture.Height, "height", 0, "height of the picture in pixels (480)")
	f.Var(oneOf(&e.picture.Unit, "auto", tui.FlagWords("unit")), "unit",
		"unit of the picture: auto, packets, kbit, mbit or gbit")
	f.Var(oneOf(&e.picture.View, "nic", tui.FlagWords("view")), "view",
		"layers of the picture: nic, protocol or total")
	f.Var(oneOf(&e.picture.Scale, "fit", tui.FlagWords("scale")), "scale",
		"scale of the picture: fit, link, log, or a value such as 500M")
	f.BoolVar(&e.picture.Dark, "dark", false, "colours for a dark background (an SVG without it follows the viewer)")
	return c
}

// settle checks the flags and reads the format.
func (e *exportFlags) settle() (err error) {
	bad := func(flag, value, why, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--%s: %q", flag, value), Why: why, Fix: fix}
	}
	if e.file == "" {
		return &api.Problem{Kind: api.Usage, What: "export: output file missing", Why: "want -o FILE",
			Fix: "use -o FILE, or -o - for stdout"}
	}
	format := e.format
	if format == "" {
		if format = strings.TrimPrefix(filepath.Ext(e.file), "."); format == "" {
			return &api.Problem{Kind: api.Usage, What: "export: format missing",
				Why: "the file has no extension", Fix: "use --format with one of " + export.Formats()}
		}
	}
	if e.as, err = export.ParseFormat(format); err != nil {
		return bad("format", format, err.Error(), "use --format svg")
	}
	var b *export.BadOption
	if errors.As(e.picture.Check(), &b) {
		return bad(b.Name, b.Value, b.Err.Error(), "use --"+b.Name+" "+b.Instead)
	}
	return nil
}

// export makes the whole picture or table before it writes the file.
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
		return &api.Problem{Kind: api.Failed, What: fmt.Sprintf("export %s: no traffic recorded in the last %v", what,
			e.last), Why: "the team did not run then, or has just started", Fix: "use a longer period: --last 24h"}
	}
	var b bytes.Buffer
	if err := export.Write(&b, e.as, t); err != nil {
		return err
	}
	if e.file == "-" {
		if e.as == export.PNG && terminal(a.out) {
			return &api.Problem{Kind: api.Usage, What: "export: cannot print a PNG to a terminal", Why: "PNG is binary",
				Fix: "use -o FILE, or pipe the output"}
		}
		_, err := a.out.Write(b.Bytes())
		return err
	}
	if err := replace(e.file, b.Bytes()); err != nil {
		return &api.Problem{Kind: writeKind(err), What: "write " + e.file, Why: cause(err),
			Fix: "choose a directory that this user may write to", Err: err}
	}
	return a.showSteps(name, []string{fmt.Sprintf("wrote %s: %s, %d bytes", e.file, e.as, b.Len())})
}

// traffic asks the team for its status and history.
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

// writeKind returns the exit code for a failed write.
func writeKind(err error) api.ExitCode {
	if os.IsPermission(err) {
		return api.NotPermitted
	}
	return api.Failed
}

// cause leaves out the name of the temporary file.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
