// SPDX-License-Identifier: MIT

package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/internal/tap"
)

// Prepared is what UnitPrepare does and sees for the team's process, which the unit's sandbox keeps from it.
type Prepared struct {
	// Adapter is the ifindex of a device that was made for the team, 0 for none. It is made in a network namespace of
	// its own, so that udev leaves its MAC alone.
	Adapter int `json:"adapter,omitempty"`
	// LeaseClient: a program that could renew leases runs.
	LeaseClient bool `json:"lease_client"`
	// Warnings of the check before a start, with the names of programs. Checked: there was one.
	Checked  bool     `json:"checked"`
	Warnings []string `json:"warnings,omitempty"`
}

func (d Dirs) preparedFile(name string) string { return filepath.Join(d.RunDir, name+".prepared") }

// Prepared returns what UnitPrepare did for this start, nil if there is nothing.
func (d Dirs) Prepared(name string) *Prepared {
	b, err := os.ReadFile(d.preparedFile(name))
	p := &Prepared{}
	if err != nil || json.Unmarshal(b, p) != nil {
		return nil
	}
	return p
}

// prepare looks at the host for the next process, and makes the adapter of a team that does not resume.
func (d Dirs) prepare(name string, resumes bool, log *slog.Logger) error {
	p := &Prepared{LeaseClient: host.HasLeaseClient()}
	if !resumes {
		p.check(d, name)
		index, err := tap.Make(name)
		switch {
		case err == nil:
			p.Adapter = index
		case !errors.Is(err, tap.ErrExists): // the process reports that one
			log.Warn("adapter not made in advance: udev may change its MAC", "team", name, "err", err)
		}
	}
	err := atomicfile.Write(d.preparedFile(name), 0o640, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(p)
	})
	if err != nil && p.Adapter != 0 {
		err = errors.Join(err, tap.Remove(name, p.Adapter))
	}
	return err
}

// check looks for what a start would warn of.
func (p *Prepared) check(d Dirs, name string) {
	h, err := host.Open(host.Options{})
	if err != nil {
		return
	}
	defer func() { _ = h.Close() }()
	l, err := config.Load(config.Options{Team: name, Path: d.StartConfig(name), RealName: RealNames()})
	if err != nil {
		return
	}
	owners, err := Owners(d, name)
	if err != nil {
		return
	}
	warnings, problem := h.Check(l.Config, owners, host.ConsentGiven|host.ConsentForced)
	p.Checked, p.Warnings = problem == nil, warnings
}

// removeUnused removes the adapter that no process has recorded in its journal, and what was prepared.
func (d Dirs) removeUnused(name string) error {
	p := d.Prepared(name)
	atomicfile.Remove(d.preparedFile(name))
	if p == nil || p.Adapter == 0 {
		return nil
	}
	if journal.ReadHere(d.journalFile(name)) != nil {
		return nil
	}
	if err := tap.Remove(name, p.Adapter); err != nil {
		return fmt.Errorf("remove the adapter: %w", err)
	}
	return nil
}
