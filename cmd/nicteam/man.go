// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/manual"
	"nicteam/internal/settings"
)

// manCmd writes the manual pages; `make build install` and the packages do with them what their system wants.
func (a *app) manCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Hidden: true,
		Short:  "Write the manual pages",
		Long: `Writes the manual pages into a directory: man5, man7 and man8. Their date is that of
SOURCE_DATE_EPOCH (seconds since 1970), or today's.`,
		Example: "  nicteam man /usr/local/share/man",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			date := time.Now()
			if text := a.getenv("SOURCE_DATE_EPOCH"); text != "" {
				s, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return &api.Problem{Kind: api.Usage, What: "SOURCE_DATE_EPOCH=" + text,
						Why: "it is not a number of seconds", Fix: "unset it, or use: git log -1 --format=%ct"}
				}
				date = time.Unix(s, 0)
			}
			for _, p := range manPages(cmd.Root(), date.UTC().Format(time.DateOnly)) {
				path := filepath.Join(given[0], p.File())
				err := os.MkdirAll(filepath.Dir(path), 0o755)
				if err == nil {
					err = os.WriteFile(path, p.Bytes(), 0o644)
				}
				if err != nil {
					return &api.Problem{Kind: api.Failed, What: "write " + p.Ref(), Why: err.Error(),
						Fix: "name a directory that can be written to", Err: err}
				}
			}
			return nil
		},
	}
}

// isTopic reports whether a command only has a text.
func isTopic(c *cobra.Command) bool { return !c.Runnable() && !c.HasSubCommands() }

// manPages are a page for nicteam, one for each of its commands that is not hidden, one for files and one for each
// topic that is not part of another page.
func manPages(root *cobra.Command, date string) (pages []*manual.Page) {
	page := func(name string, section int, short string) *manual.Page {
		p := &manual.Page{Name: name, Section: section, Short: short, Date: date, Source: "nicteam " + version}
		pages = append(pages, p)
		return p
	}
	main := page("nicteam", 8, lowerFirst(root.Short))
	var verbPages func(parent *cobra.Command)
	verbPages = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if c.Hidden || isTopic(c) {
				continue
			}
			verbPage(page(strings.ReplaceAll(c.CommandPath(), " ", "-"), 8, lowerFirst(c.Short)), c)
			verbPages(c)
		}
	}
	verbPages(root)
	filePage(page("nicteam.yaml", 5, "settings of a team"), topicText(root, "config"))
	for _, c := range root.Commands() {
		switch name := c.Name(); {
		case !isTopic(c) || inOtherPages[name]:
		case name == "modes":
			modesPage(page("nicteam-modes", 7, lowerFirst(c.Short)), root)
		default:
			p := page("nicteam-"+name, 7, lowerFirst(c.Short))
			p.Head("DESCRIPTION")
			p.Text(c.Long)
			seeAlso(p)
		}
	}
	mainPage(main, root, pages)
	return pages
}

// inOtherPages are topics that nicteam-modes(7) and nicteam.yaml(5) have.
var inOtherPages = map[string]bool{"elb": true, "802.3ad": true, "config": true, "settings": true}

func topicText(root *cobra.Command, name string) string {
	for _, c := range root.Commands() {
		if c.Name() == name {
			return c.Long
		}
	}
	return ""
}

// verbPage is the page of a command.
func verbPage(p *manual.Page, c *cobra.Command) {
	p.Head("SYNOPSIS")
	p.Synopsis(c.UseLine())
	p.Head("DESCRIPTION")
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	p.Text(text)
	c.InitDefaultHelpFlag()
	for i, g := range flagGroups(c) {
		if !g.flags.HasAvailableFlags() {
			continue
		}
		if i == 0 {
			p.Head("OPTIONS")
		} else {
			p.Head("SETTINGS, " + strings.ToUpper(g.title))
		}
		flagItems(p, g.flags)
	}
	p.Head("EXAMPLES")
	p.Examples(c.Example)
	p.Head("EXIT STATUS")
	p.Text("0, or one of the numbers in nicteam(8).")
	seeAlso(p)
}

// flagItems writes an entry for each flag that is not hidden.
func flagItems(p *manual.Page, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		p.Option(name, value, usage)
	})
}

// modesPage has the topics of the modes.
func modesPage(p *manual.Page, root *cobra.Command) {
	p.Head("DESCRIPTION")
	p.Text(topicText(root, "modes"))
	for _, mode := range []string{"elb", "802.3ad"} {
		p.Head(strings.ToUpper(mode))
		p.Text(topicText(root, mode))
	}
	seeAlso(p)
}

// filePage has every setting, with what the topic says of files around its tables.
func filePage(p *manual.Page, topic string) {
	var parts [2][]manual.Block // before and behind the tables
	i := 0
	for _, b := range manual.Parse(topic) {
		if b.Kind == manual.Table {
			i = 1
			continue
		}
		parts[i] = append(parts[i], b)
	}
	p.Head("DESCRIPTION")
	p.Blocks(parts[0])
	p.Head("SETTINGS")
	for n := range settings.Table {
		if s := &settings.Table[n]; !s.NoFile {
			settingItem(p, s)
		}
	}
	p.Head("SETTINGS OF A RUNNING TEAM")
	p.Text("These are in no file: nicteam set has them.")
	for n := range settings.Table {
		if s := &settings.Table[n]; s.NoFile {
			settingItem(p, s)
		}
	}
	p.Head("EXAMPLES")
	p.Blocks(parts[1])
	seeAlso(p)
}

// settingItem is the topic of a setting as an entry of a page.
func settingItem(p *manual.Page, s *settings.Setting) {
	var text strings.Builder
	text.WriteString(s.Help + ".")
	var typed []string
	for _, r := range topicRows(s) {
		if r.code {
			typed = append(typed, r.text)
			continue
		}
		text.WriteString(" " + strings.ToUpper(r.name[:1]) + r.name[1:] + ": " + r.text + ".")
	}
	p.Item(s.Key, text.String())
	p.Lines(typed)
}

// mainPage is nicteam(8).
func mainPage(p *manual.Page, root *cobra.Command, pages []*manual.Page) {
	p.Head("SYNOPSIS")
	p.Synopsis("nicteam COMMAND [ARGUMENT...] [flags]")
	p.Head("DESCRIPTION")
	p.Text(root.Long)
	p.Head("COMMANDS")
	for _, c := range root.Commands() {
		if !c.Hidden && !isTopic(c) {
			p.Item(strings.TrimSuffix(c.Use, " [flags]"), c.Short+".")
		}
	}
	p.Head("OPTIONS")
	p.Text("Every command has these:")
	flagItems(p, root.PersistentFlags())
	p.Head("EXIT STATUS")
	p.Text(exitTopic)
	p.Head("ENVIRONMENT")
	p.Text(environmentTopic)
	p.Head("RIGHTS")
	p.Text(rightsTopic)
	p.Head("FILES")
	p.Text(filesTopic)
	p.Head("EXAMPLES")
	p.Examples(root.Example)
	p.Head("SEE ALSO")
	var refs []string
	for _, other := range pages[1:] {
		refs = append(refs, other.Ref())
	}
	p.Text(strings.Join(refs, ", "))
}

func seeAlso(p *manual.Page) {
	p.Head("SEE ALSO")
	var refs []string
	for _, ref := range []string{"nicteam(8)", "nicteam.yaml(5)", "nicteam-modes(7)", "nicteam-watches(7)"} {
		if ref != p.Ref() {
			refs = append(refs, ref)
		}
	}
	p.Text(strings.Join(refs, ", "))
}

// lowerFirst begins a description as a page's NAME has it; names of modes and NICs stay.
func lowerFirst(s string) string {
	if len(s) < 2 || strings.ToUpper(s[:2]) == s[:2] {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

const exitTopic = `An error says on standard error what failed, why, and what to do.

  0    done
  1    failed
  2    the command is not understood
  3    no such NIC or team
  4    not permitted
  5    conflict: the NIC belongs to somebody else, or the team exists
  6    reverted: the change was undone
  7    degraded or down, with nicteam status --check; a check of nicteam doctor failed
  8    the team's process does not answer
  130  interrupted`

const environmentTopic = `  NICTEAM_RUN_DIR    directory of the sockets instead of /run/nicteam
  NICTEAM_STATE_DIR  directory of journals and history instead of /var/lib/nicteam
  NICTEAM_CONFIG_DIR  directory of TEAM.yaml instead of /etc/nicteam
  NICTEAM_UP_DELAY   and so on: settings, as nicteam create and nicteam run read them
  NO_COLOR           no colours on a terminal`

const rightsTopic = `Root changes teams. Members of the group nicteam may look at them: status, list, watch, events,
explain, peers, export, metrics. A team that was started before the host had the group has to be restarted for that.
Everybody else gets exit code 4.`

const filesTopic = `  /etc/nicteam/TEAM.yaml  the settings of a team that comes back after a reboot; nicteam.yaml(5)
  /run/nicteam/TEAM.sock  the socket by which commands reach the team's process
  /var/lib/nicteam/TEAM.journal  what the host was before the team; nicteam restore reads it
  /var/lib/nicteam/TEAM.log  the log of a team that systemd does not run`
