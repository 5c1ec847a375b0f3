// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/importer"
	"nicteam/internal/launch"
)

// importFlags are the flags of import.
type importFlags struct{ format, output, team string }

func (a *app) importCmd() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Make a configuration of a bond or a team of another program",
		Long: `Makes the configuration of a team of what configures a bond or a team today: a file of teamd (JSON), netplan,
/etc/network/interfaces, ifcfg or NetworkManager (keyfile), the directory of such files, or a bond of the kernel or a
team of teamd that runs, by its name. It changes nothing on the host.

The YAML goes to stdout, or with -o to a new file; nicteam apply -f and nicteam create --config take it. Each setting
that has no equal is a warning, with its file and line, and what nicteam does instead.`,
		Example: `  nicteam import bond0                                # one that runs
  nicteam import /etc/netplan -o bond0.yaml
  nicteam import /etc/network/interfaces --team bond1
  nicteam import /etc/sysconfig/network-scripts/ifcfg-bond0
  nicteam import team0.conf --format teamd --json`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error { return a.importFrom(given[0], f) },
	}
	c.Flags().Var(oneOf(&f.format, "", importer.Formats), "format",
		strings.Join(importer.Formats, ", ")+" (what it looks like)")
	c.Flags().StringVarP(&f.output, "output", "o", "", "new `file` instead of stdout")
	c.Flags().StringVar(&f.team, "team", "", "`name` of the bond or team, if the source has several")
	return c
}

// importFrom converts what a source has.
func (a *app) importFrom(from string, f importFlags) error {
	if f.format != "" && !slices.Contains(importer.Formats, f.format) {
		return &api.Problem{Kind: api.Usage, What: "--format " + f.format, Why: "there is no such format",
			Fix: "use one of " + strings.Join(importer.Formats, ", ")}
	}
	list, format, err := a.readSource(a.interruptible(), from, f)
	if err != nil {
		return err
	}
	b, err := chosen(from, list, f.team)
	if err != nil {
		return err
	}
	made, err := importer.Convert(b)
	if err != nil {
		return err
	}
	text, err := config.Brief(made.Config)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	text = fmt.Sprintf("# Made of %s (%s); see: nicteam help config\n%s", oneLine(from), format, text)
	if _, err := config.Parse("the configuration", text); err != nil {
		return err
	}
	done := &api.Imported{Schema: api.ImportSchema, Source: from, Format: format, Team: made.Config.Team, YAML: text,
		File: f.output, Notes: append([]api.ImportNote{}, made.Notes...)}
	if f.output != "" {
		if err := writeNew(f.output, text); err != nil {
			return err
		}
	}
	if a.json {
		return a.document(done)
	}
	for _, n := range done.Notes {
		a.warn(importer.NoteText(n))
	}
	if f.output == "" {
		_, err := fmt.Fprint(a.out, text)
		return err
	}
	a.say("wrote %s: nicteam apply -f %s --dry-run shows what it does", f.output, f.output)
	return nil
}

// readSource reads a running link or files. A name without a slash is a link if this host has it.
func (a *app) readSource(ctx context.Context, from string, f importFlags) ([]*importer.Bond, string, error) {
	host := importer.Running{Sys: "/sys", Addresses: importer.HostAddresses}
	if f.format == "" && host.Has(from) {
		if host.IsBond(from) {
			b, err := host.Bond(from)
			return []*importer.Bond{b}, "bond", err
		}
		launch.SetSafePath()
		b, err := host.Team(ctx, from)
		return []*importer.Bond{b}, "team", err
	}
	return importer.ReadFile(from, f.format)
}

// chosen returns the bond that is named, or the only one.
func chosen(from string, list []*importer.Bond, name string) (*importer.Bond, error) {
	var names []string
	for _, b := range list {
		names = append(names, b.Name)
		if b.Name == name {
			return b, nil
		}
	}
	switch {
	case name != "":
		return nil, &api.Problem{Kind: api.NotFound, What: "import " + from + ": no bond or team " + name,
			Why: "it has " + strings.Join(names, ", "), Fix: "name one of them with --team"}
	case len(list) > 1:
		return nil, &api.Problem{Kind: api.Usage, What: "import " + from + ": which one?",
			Why: "it has " + strings.Join(names, ", "), Fix: "name one of them: --team " + names[0]}
	}
	return list[0], nil
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err == nil {
		_, err = f.WriteString(text)
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err == nil {
		return nil
	}
	p := &api.Problem{Kind: writeKind(err), What: "write " + path, Why: cause(err),
		Fix: "choose a directory that this user may write to", Err: err}
	if errors.Is(err, fs.ErrExist) {
		p.Kind, p.Fix = api.Conflict, "choose another name, or remove it"
	}
	return p
}
