package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/logs"
	"nicteam/internal/settings"
)

// Create checks everything, then starts the team's process and returns when the team forwards. On an
// error the host is as it was.
func Create(ctx context.Context, o CreateOptions) (*Created, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	useSafePath()
	made := &Created{Steps: []string{}, Warnings: []string{}}
	c, warnings, err := preflight(o)
	made.Warnings = append(append(made.Warnings, o.Notes...), warnings...)
	if err != nil {
		return nil, err
	}
	for _, w := range made.Warnings {
		o.Warn(w)
	}
	if o.DryRun {
		made.Steps = intended(c)
		return made, nil
	}
	if err := o.Places.make(); err != nil {
		return nil, err
	}
	if o.Foreground {
		return nil, Run(ctx, RunOptions{Config: c, Places: o.Places, Ready: o.Ready, Log: o.Log, Release: true, Insist: true, Version: o.Version})
	}
	// Not the file of the running team: somebody else may be creating that at this moment.
	path := filepath.Join(o.RunDir, fmt.Sprintf(".%s.%d.yaml", c.Team, os.Getpid()))
	defer discard(path)
	if err := config.Save(path, c); err != nil {
		return nil, &api.Problem{Code: api.Failed, What: "save " + path, Why: err.Error(), Fix: "make room or rights there", Err: err}
	}
	err = spawn(ctx, o.Places, c.Team, path, levelOf(o.Log), func(r report) {
		switch {
		case r.Warning != "" && !contains(made.Warnings, r.Warning):
			made.warn(o, r.Warning)
		case r.Step != "":
			made.Steps = append(made.Steps, r.Step)
			o.Progress(r.Step)
		}
	})
	if err != nil {
		o.clean(err)
		return nil, err
	}
	if !o.NoPersist {
		if err := config.Save(o.config(c.Team), c); err != nil {
			made.warn(o, fmt.Sprintf("%s was not written, so the team does not come back by itself after a boot: %v", o.config(c.Team), err))
		}
	}
	client := control.NewClient(o.RunDir, c.Team)
	defer client.Close()
	made.Status, err = client.Status(context.WithoutCancel(ctx)) // the team is there: too late for an interrupt
	return made, err
}

func (m *Created) warn(o CreateOptions, text string) {
	m.Warnings = append(m.Warnings, text)
	o.Warn(text)
}

// clean takes away what a create that failed leaves, unless another's team of that name runs. Where there is a journal the
// settings are for whoever goes on with the team, and the log of a process that died without a word is all there is to read.
func (o CreateOptions) clean(err error) {
	name := o.Config.Team
	if _, e := os.Stat(o.journal(name)); e == nil || !free(o.Places, name) {
		return
	}
	discard(o.running(name))
	if !errors.Is(err, errUnexplained) {
		_ = os.Remove(o.log(name))
		_ = os.Remove(logs.Old(o.log(name)))
	}
}

// preflight finds everything that can be wrong before anything is changed. It returns the configuration with what is
// decided here for good, whatever the NICs are like at the next start.
func preflight(o CreateOptions) (c settings.Config, warnings []string, err error) {
	c = o.Config
	if problem := config.Validate(c); problem != nil {
		return c, nil, problem
	}
	if problem := host.Capable("create " + c.Team); problem != nil {
		return c, nil, problem
	}
	if err := o.Places.check(); err != nil {
		return c, nil, err
	}
	if runs(o.Places, c.Team) {
		return c, nil, &api.Problem{Code: api.Conflict, What: "create " + c.Team, Why: "a team of that name runs",
			Fix: "nicteam status " + c.Team + ", nicteam add " + c.Team + " NIC, or choose another name"}
	}
	h, err := host.Open(host.Options{StateDir: o.StateDir, Team: c.Team, Logger: o.Log})
	if err != nil {
		return c, nil, err
	}
	defer func() { _ = h.Close() }()
	if p := h.Unusable(); p != nil {
		return c, nil, p
	}
	if h.Journalled() {
		return c, nil, &api.Problem{Code: api.Conflict, What: "create " + c.Team,
			Why: "an earlier process of the team ended without giving everything back",
			Fix: fmt.Sprintf("nicteam restore %s puts the host back; nicteam run %s --config %s goes on with the team", c.Team, c.Team, o.running(c.Team))}
	}
	others, err := owners(o.Places, c.Team)
	if err != nil {
		return c, nil, err
	}
	for _, m := range c.Members {
		n, err := h.NIC(m.Name)
		if _, known := others[m.Name]; known || err != nil {
			continue // which the check says
		}
		if other, _ := holderOf(n.Index); other != nil {
			return c, nil, other.problem("create "+c.Team, m.Name)
		}
	}
	if note := h.Note(); note != "" {
		warnings = append(warnings, note)
	}
	more, problem := h.Check(c, others, consentOf(o.Accept))
	warnings = append(warnings, more...)
	if problem != nil {
		return c, warnings, problem
	}
	if err := decideMTU(h, &c); err != nil {
		return c, warnings, err
	}
	if c.Datapath == pathFast {
		if err := probeFastpath(h, memberNames(c)); err != nil {
			return c, warnings, noFastpath("create "+c.Team, err)
		}
	}
	return c, warnings, nil
}

// decideMTU writes down the MTU of NICs that differ in it, as the check has said it.
func decideMTU(h *host.Host, c *settings.Config) error {
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

// intended says what create would do.
func intended(c settings.Config) []string {
	names := joined(memberNames(c))
	steps := []string{
		fmt.Sprintf("would make adapter %s in mode %v", c.Team, c.Mode),
		fmt.Sprintf("would take over %s, hidden from the host's own stack", names),
	}
	switch c.Address {
	case settings.AddressAuto:
		steps = append(steps, fmt.Sprintf("would move addresses, routes and gateway from %s to %s", names, c.Team))
	case settings.AddressGiven:
		steps = append(steps, fmt.Sprintf("would give %s %s", c.Team, joined(c.Addresses)))
	case settings.AddressNone:
		steps = append(steps, fmt.Sprintf("would take the addresses of %s away until the team ends", names))
	}
	return steps
}

func levelOf(l *slog.Logger) slog.Level {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
