// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/logs"
	"nicteam/internal/pending"
	"nicteam/internal/settings"
)

// CreateOptions of Create. Config and Dirs must be set.
type CreateOptions struct {
	Config settings.Config
	Dirs
	DryRun    bool // check and return the steps, change nothing
	NoPersist bool // leave no TEAM.yaml in the configuration directory
	// With Accept (-y) it goes on though filters of other programs stop applying, with Force also though links on a NIC
	// lose their traffic, or the journal of an earlier team cannot be read.
	control.ChangeOptions
	Notes []string // warnings found while the configuration was read

	// Foreground runs the team in this process until it ends. nil: Create starts a process for it.
	Foreground func(settings.Config) error

	// Plan gets what will be done before anything is changed. nil: only a dry run makes a plan.
	Plan func(*api.Plan)

	// Progress gets each step, Warn each warning when it is found, most of them before anything is changed. Created has
	// all of them, too.
	Progress func(step string)
	Warn     func(text string)
	Log      *slog.Logger
}

// Create checks the configuration and the host, starts the team's process and returns when the team forwards. An error
// leaves the host as it was.
func Create(ctx context.Context, o CreateOptions) (*api.Created, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	SetSafePath()
	made := &api.Created{Schema: api.CreatedSchema, Team: o.Config.Team, DryRun: o.DryRun, Steps: []string{},
		Warnings: []string{}}
	c, plan, warnings, err := preflight(ctx, o)
	made.Warnings = append(append(made.Warnings, o.Notes...), warnings...)
	if plan == nil && err != nil {
		return nil, err
	}
	if plan != nil {
		plan.Risks = append(plan.Risks, made.Warnings...)
	}
	if o.DryRun {
		made.Plan, made.Steps = plan, steps(plan, c)
		return made, err
	}
	if plan != nil {
		o.Plan(plan)
	}
	for _, w := range made.Warnings {
		o.Warn(w)
	}
	if err := o.Dirs.Make(); err != nil {
		return nil, err
	}
	if err := o.putAside(); err != nil {
		return nil, err
	}
	if o.Foreground != nil {
		return nil, o.Foreground(c)
	}
	report := func(r Report) {
		switch {
		case r.Warning != "" && !slices.Contains(made.Warnings, r.Warning):
			o.warn(made, r.Warning)
		case r.Step != "":
			made.Steps = append(made.Steps, r.Step)
			o.Progress(r.Step)
		}
	}
	if err := o.launch(ctx, c, made, report); err != nil {
		o.removeFailed(err)
		return nil, err
	}
	client := control.NewClient(o.RunDir, c.Team)
	defer client.Close()
	client.Supervised = func() bool { return HasKeeper(o.Dirs, c.Team) }
	made.Status, err = o.firstStatus(context.WithoutCancel(ctx), client) // the team runs: too late for an interrupt
	return made, err
}

// firstStatus asks again if the process has just died and is started anew: the team was made all the same.
func (o CreateOptions) firstStatus(ctx context.Context, c *control.Client) (st *api.Status, err error) {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	for until := time.Now().Add(patience); ; time.Sleep(pause) {
		st, err = c.Status(ctx)
		p, ok := errors.AsType[*api.Problem](err)
		if !ok || p.Kind != api.NoAnswer || !c.Supervised() || time.Now().After(until) {
			return st, err
		}
	}
}

// launch has the service manager run the team, or starts its process.
func (o CreateOptions) launch(ctx context.Context, c settings.Config, made *api.Created, report func(Report)) error {
	byUnit, why := o.useUnit(made)
	told := StartOptions{Change: o.ChangeOptions, Persist: !o.NoPersist}
	if err := o.tell(c.Team, told); err != nil {
		return &api.Problem{Kind: api.Failed, What: "create " + c.Team, Why: err.Error(),
			Fix: "check free space and permissions in " + o.RunDir, Err: err}
	}
	defer atomicfile.Remove(o.startOptionsFile(c.Team))
	if byUnit {
		err := o.startUnit(ctx, c, report)
		if cannot, ok := errors.AsType[*unsaved](err); ok {
			byUnit, why = false, notAtBoot+cannot.Error()
		} else if err != nil {
			return err
		}
	}
	if byUnit {
		if o.Confirm == 0 {
			o.enableUnit(made)
		}
		return nil
	}
	if why != "" {
		o.warn(made, why)
	}
	if o.NoPersist && systemdRuns() {
		o.step(made, "the team ends with a reboot (--no-persist)")
	}
	// A name of its own: another create of the same team may run at this moment.
	path := filepath.Join(o.RunDir, fmt.Sprintf(".%s.%d.yaml", c.Team, os.Getpid()))
	defer atomicfile.Remove(path)
	if err := config.Save(path, c); err != nil {
		return &api.Problem{Kind: api.Failed, What: "save " + path, Why: err.Error(),
			Fix: "check free space and permissions there", Err: err}
	}
	if err := spawn(ctx, o.Dirs, c.Team, path, logLevel(o.Log), report); err != nil {
		return err
	}
	if !o.NoPersist && o.Confirm == 0 {
		if err := config.Save(o.configFile(c.Team), c); err != nil {
			o.warn(made, fmt.Sprintf("%s not written, the team will not start at boot: %v", o.configFile(c.Team), err))
		}
	}
	return nil
}

func (o CreateOptions) step(made *api.Created, text string) {
	made.Steps = append(made.Steps, text)
	o.Progress(text)
}

func (o CreateOptions) warn(made *api.Created, text string) {
	made.Warnings = append(made.Warnings, text)
	o.Warn(text)
}

// removeFailed removes what a failed create leaves, unless another create made a team of that name. With a journal the
// configuration stays, for restore or a next run. The log stays if the process ended without a report: it is the only
// explanation.
func (o CreateOptions) removeFailed(err error) {
	name := o.Config.Team
	if _, e := os.Stat(o.journalFile(name)); e == nil || !unlocked(o.Dirs, name) {
		return
	}
	o.RemovePending(name)
	atomicfile.Remove(o.RunningConfig(name))
	if !errors.Is(err, errNoReport) {
		_ = os.Remove(o.LogFile(name))
		_ = os.Remove(logs.Old(o.LogFile(name)))
	}
}

// preflight checks everything before anything is changed. It returns the configuration with the choices that must not
// depend on the NICs of a later start, and the plan if one is wanted: in a dry run also with an error that --force
// would accept.
func preflight(ctx context.Context, o CreateOptions) (c settings.Config, plan *api.Plan, warnings []string, err error) {
	c = o.Config
	fail := func(err error) (settings.Config, *api.Plan, []string, error) { return c, nil, warnings, err }
	if problem := config.Validate(c); problem != nil {
		return fail(problem)
	}
	if err := CanCreate(o.Dirs, c.Team); err != nil {
		return fail(err)
	}
	h, err := host.Open(host.Options{StateDir: o.StateDir, Team: c.Team, Logger: o.Log})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = h.Close() }()
	notes, problem := o.checkJournal(h)
	if problem != nil {
		return fail(problem)
	}
	warnings = append(warnings, notes...)
	others, err := Owners(o.Dirs, c.Team)
	if err != nil {
		return fail(err)
	}
	for _, m := range c.Members {
		n, err := h.NIC(m.Name)
		if _, known := others[m.Name]; known || err != nil {
			continue // h.Inspect reports it
		}
		if other, _ := NICHolderOf(n.Index); other != nil {
			return fail(other.Problem("create "+c.Team, m.Name))
		}
	}
	found, refusal := h.Inspect(c, others, consentOf(o.ChangeOptions))
	warnings = append(warnings, found.Warnings...)
	if refusal != nil && (len(found.Blocked) == 0 || !o.DryRun) {
		return fail(refusal)
	}
	more, problem := h.CheckNewWatches(c)
	warnings = append(warnings, more...)
	if problem != nil {
		return fail(problem)
	}
	if err := fixMTU(h, &c); err != nil {
		return fail(err)
	}
	if c.Datapath == "fastpath" {
		if err := probeFastpath(h, c.MemberNames()); err != nil {
			return fail(FastpathProblem("create "+c.Team, err))
		}
	}
	if o.DryRun || o.Plan != nil {
		if plan, err = o.planCreate(ctx, h, c, found); err != nil {
			return fail(err)
		}
	}
	if refusal != nil {
		return c, plan, warnings, refusal
	}
	return c, plan, warnings, nil
}

// MayChangeHost returns which right to change the network this process lacks, nil if none. what names the change.
func MayChangeHost(what string) error {
	if problem := host.CheckCapabilities(what); problem != nil {
		return problem
	}
	return nil
}

// CanCreate checks what does not depend on the NICs of a new team: rights, directories, and that no team of that name
// runs.
func CanCreate(d Dirs, name string) error {
	if problem := host.CheckCapabilities("create " + name); problem != nil {
		return problem
	}
	if err := d.check(); err != nil {
		return err
	}
	if r := d.Pending(name); r != nil && r.Verb == pending.Delete && (Runs(d, name) || HasKeeper(d, name)) {
		return &api.Problem{Kind: api.Conflict, What: "create " + name, Why: "its delete waits for confirmation",
			Fix: "nicteam confirm " + name + " ends the team; nicteam revert " + name + " brings it back"}
	}
	if Runs(d, name) {
		return &api.Problem{Kind: api.Conflict, What: "create " + name, Why: "a team of that name runs",
			Fix: "nicteam status " + name + ", nicteam add " + name + " NIC, or choose another name"}
	}
	if HasKeeper(d, name) {
		return &api.Problem{Kind: api.Conflict, What: "create " + name,
			Why: "its process could not go on, and its keeper tries to start it again and again",
			Fix: "read " + d.LogFile(name) + ", or end that: nicteam delete " + name}
	}
	return nil
}

// FreeName returns a name for a new team that no team, link or configuration has: team0, else team1, ….
func FreeName(d Dirs) (string, error) {
	teams, err := d.teams()
	if err != nil {
		return "", err
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("team%d", i)
		_, linkErr := net.InterfaceByName(name)
		_, fileErr := os.Stat(d.configFile(name))
		if linkErr != nil && fileErr != nil && !slices.Contains(teams, name) {
			return name, nil
		}
	}
}

// fixMTU sets the configured MTU to the members' minimum if they differ.
func fixMTU(h *host.Host, c *settings.Config) error {
	nics := make([]host.NIC, len(c.Members))
	differ := false
	for i, m := range c.Members {
		var err error
		if nics[i], err = h.NIC(m.Name); err != nil {
			return err
		}
		differ = differ || nics[i].MTU != nics[0].MTU
	}
	if c.MTU == 0 && differ {
		c.MTU = host.AutoMTU(nics)
	}
	return nil
}

// dryRunSteps returns what create would do.
func dryRunSteps(c settings.Config) []string {
	names := strings.Join(c.MemberNames(), ", ")
	steps := []string{
		fmt.Sprintf("would create adapter %s in mode %v", c.Team, c.Mode),
		fmt.Sprintf("would take over %s, hidden from the host's stack", names),
	}
	switch c.Address {
	case settings.AddressAuto:
		steps = append(steps, fmt.Sprintf("would move addresses, routes and gateway from %s to %s", names, c.Team))
	case settings.AddressDHCP:
		steps = append(steps,
			fmt.Sprintf("would move addresses, routes and gateway from %s to %s", names, c.Team),
			fmt.Sprintf("would acquire or renew the address of %s by DHCP", c.Team))
	case settings.AddressGiven:
		steps = append(steps, fmt.Sprintf("would set the addresses of %s: %s", c.Team, c.AddressList()))
	case settings.AddressNone:
		steps = append(steps, fmt.Sprintf("would remove the addresses of %s until the team ends", names))
	}
	return steps
}

func logLevel(l *slog.Logger) slog.Level {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
