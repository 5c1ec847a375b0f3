// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/boot"
	"nicteam/internal/control"
	"nicteam/internal/descriptors"
	"nicteam/internal/host/journal"
	"nicteam/internal/managers"
	"nicteam/internal/pending"
	"nicteam/internal/supervisor"
	"nicteam/internal/tick"
)

// What the unit nicteam@.service runs before, at the end of and after a team's process, as root without the sandbox of
// that process.

// Exit codes of a team's process that its service manager knows, besides 0 (ended on purpose, the host is as before).
const (
	ExitHandOver = 75 // EX_TEMPFAIL: start the program that is there now in my place
	ExitConfig   = 78 // EX_CONFIG: it cannot run as configured; nothing was changed, or it was put back
)

// Five deaths in ten seconds: the NICs are given back, and the next start waits.
const (
	deathLimit  = 5
	deathWindow = 10 * time.Second
)

// deaths are the times of the last deaths of a team's process, since boot.
type deaths struct{ path string }

func (d Dirs) deaths(name string) deaths { return deaths{d.RunDir + "/" + name + ".deaths"} }

// recent returns the deaths of the last deathWindow.
func (d deaths) recent(now time.Duration) (list []time.Duration) {
	b, _ := os.ReadFile(d.path)
	for f := range strings.FieldsSeq(string(b)) {
		ns, err := strconv.ParseInt(f, 10, 64)
		if at := time.Duration(ns); err == nil && at <= now && now-at < deathWindow {
			list = append(list, at)
		}
	}
	return list
}

// add notes a death and returns how many there were in the last deathWindow.
func (d deaths) add(now time.Duration) (int, error) {
	list := append(d.recent(now), now)
	var text strings.Builder
	for _, at := range list {
		fmt.Fprintln(&text, int64(at))
	}
	return len(list), os.WriteFile(d.path, []byte(text.String()), 0o640)
}

// pause is how long a start has to wait: after deathLimit deaths deathWindow from the last one.
func (d deaths) pause(now time.Duration) time.Duration {
	list := d.recent(now)
	if len(list) < deathLimit {
		return 0
	}
	return list[len(list)-1] + deathWindow - now
}

func (d deaths) forget() { _ = os.Remove(d.path) }

// UnitPrepare is ExecStartPre. It makes the directories for files that the process writes for network managers, pauses
// after too many deaths, ends a process of the team that somebody else started, so that the unit takes the team over,
// and does what the sandbox keeps from the process.
func UnitPrepare(ctx context.Context, d Dirs, name string, log *slog.Logger) error {
	SetSafePath()
	resumes := journal.ReadHere(d.journalFile(name)) != nil
	if resumes { // a process has died, each moment counts, and the directories are there
		d.openToGroup()
	} else {
		if err := d.Make(); err != nil {
			return err
		}
		if err := managers.MakeDirs(); err != nil {
			log.Warn("network managers will not be told", "team", name, "err", err)
		}
	}
	if wait := d.deaths(name).pause(boot.Time()); wait > 0 {
		log.Info("pause after too many deaths", "team", name, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := d.endOther(ctx, name, log); err != nil {
		return err
	}
	if r := d.Pending(name); r != nil && r.Verb == pending.Delete && r.Left() > 0 {
		return nil // the process only waits for the confirmation
	}
	return d.prepare(name, resumes, log)
}

// takeOverTime bounds the wait for the other process of the team, which gives the host back.
const takeOverTime = 30 * time.Second

// endOther ends a running process of the team: of a create without systemd, by hand, or in a container that has the
// team's directories. That one's process ID means nothing here, so it is told by its socket.
func (d Dirs) endOther(ctx context.Context, name string, log *slog.Logger) error {
	if HasKeeper(d, name) { // also while it has no process
		log.Info("the team's keeper is ended, the unit takes over", "team", name)
		ctx, cancel := context.WithTimeout(ctx, takeOverTime)
		defer cancel()
		if _, err := EndKeeper(ctx, d, name); err != nil {
			return fmt.Errorf("take over %s: %w", name, err)
		}
		d.removeKeeperRests(name)
	}
	if !Runs(d, name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, takeOverTime)
	defer cancel()
	client := control.NewClient(d.RunDir, name)
	defer client.Close()
	log.Info("the team's process is ended, the unit takes over", "team", name)
	if _, err := client.Stop(ctx, false); err != nil {
		return fmt.Errorf("take over %s: end its process: %w", name, err)
	}
	if !tick.Until(ctx, exitLook, func() bool { return unlocked(d, name) }) {
		return fmt.Errorf("take over %s: its process goes on", name)
	}
	return nil
}

// handOverTime bounds the wait for a process that hands over; less than the unit's TimeoutStopSec.
const handOverTime = 20 * time.Second

// UnitStop is ExecStop. At a restart it tells the process to hand over, and waits for its end. At a stop systemd's
// signal follows, at which the process gives the NICs back.
func UnitStop(ctx context.Context, d Dirs, name string, pid int, log *slog.Logger) error {
	SetSafePath()
	u, err := planOf(name)
	if err != nil {
		return err
	}
	if u.job != "restart" || pid <= 1 {
		return nil
	}
	if OfNewer(d, name) {
		log.Warn("no hand-over: the process is of a newer version, whose journal this program cannot read; it gives "+
			"the NICs back, and the team starts anew", "team", name)
		return nil
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // it has ended
	}
	defer func() { _ = unix.Close(process) }()
	client := control.NewClient(d.RunDir, name)
	defer client.Close()
	patience := handOverTime
	if _, err := client.Stop(ctx, true); err != nil {
		log.Warn("no hand-over: the NICs are given back and taken over again", "team", name, "err", err)
		patience = time.Second // it may be ending by itself
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		ended := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		if n, _ := unix.Poll(ended, int(time.Until(end).Milliseconds())); n > 0 {
			return nil
		}
	}
	if patience < handOverTime {
		return nil
	}
	return errors.New("hand over: the process goes on")
}

// UnitStopped is ExecStopPost: the process has ended, or could not be started. result and status are SERVICE_RESULT and
// EXIT_STATUS of systemd.exec(5). The NICs are given back if nobody else will go on with them.
func UnitStopped(d Dirs, name, result, status string, log *slog.Logger) error {
	SetSafePath()
	if err := d.removeUnused(name); err != nil {
		log.Warn("left behind", "team", name, "err", err)
	}
	u, err := planOf(name)
	if err != nil {
		log.Warn("unknown whether it is stopped", "team", name, "err", err)
	}
	// A start that fails is still the unit's job.
	goesOn := u.job == "restart" || u.job == "start" && result == "success"
	final := result == "success" && status != strconv.Itoa(ExitHandOver) || status == strconv.Itoa(ExitConfig)
	switch {
	case u.job == "stop", final && !goesOn:
		d.deaths(name).forget()
		d.RemovePending(name)
	case goesOn, result == "success":
		return nil
	default:
		n, err := d.deaths(name).add(boot.Time())
		if err != nil {
			log.Warn("death not noted", "team", name, "err", err)
		}
		if n < deathLimit && startsAgain(u.restart, result) {
			return nil
		}
		if n < deathLimit {
			log.Error("the process died, and the unit has been changed so that it is not started again: the NICs are "+
				"given back", "team", name)
			break
		}
		log.Error("the process died too often: the NICs are given back", "team", name, "deaths", n,
			"within", deathWindow, "retry", deathWindow)
	}
	if !Restorable(d, name) {
		return tellManagersOfEnd(d, name, log)
	}
	if err := d.dropStored(name, supervisor.FromEnv()); err != nil {
		log.Warn("descriptors of the process not dropped", "team", name, "err", err)
	}
	return d.giveBack(name, log)
}

func (d Dirs) giveBack(name string, log *slog.Logger) error {
	steps, err := restoreTeam(d, name, nil, log)
	for _, s := range steps {
		log.Info("released", "team", name, "what", s)
	}
	return err
}

// UnitLeft is ExecStop of nicteam-giveback@.service: the team's unit is inactive or failed. A stop while systemd waits
// before it starts a process that died again runs no ExecStopPost (systemd.service(5)), and one that comes while
// ExecStopPost ends is not seen by it and has the unit fail. Only systemd's store of descriptors is empty then.
func UnitLeft(d Dirs, name string, log *slog.Logger) error {
	SetSafePath()
	if !Restorable(d, name) && d.Pending(name) == nil || HasKeeper(d, name) {
		return nil
	}
	u, err := readUnit(name)
	if err != nil {
		return err
	}
	p, err := planOf(name)
	over := u.Active == "inactive" || u.Active == "failed"
	if err != nil || !over || p.job == "start" || p.job == "restart" || Runs(d, name) {
		return err
	}
	d.deaths(name).forget()
	d.RemovePending(name)
	if !Restorable(d, name) {
		return nil
	}
	log.Warn("the process has died, and the unit is stopped: the NICs are given back", "team", name)
	return d.giveBack(name, log)
}

// startsAgain reports whether systemd starts a unit again that ended with that result: its file may have been changed.
func startsAgain(restart, result string) bool {
	switch restart {
	case "no", "on-success":
		return false
	case "on-abnormal":
		return result != "exit-code"
	case "on-abort":
		return result == "signal" || result == "core-dump"
	case "on-watchdog":
		return result == "watchdog"
	}
	return true
}

// dropStored has systemd close what a process left in its store and what acts on the NICs: programs that take their
// frames from the host, and sockets that change their receive filters. Maps stay: the next start sees what fits.
func (d Dirs) dropStored(name string, store *supervisor.Supervisor) error {
	left := journal.ReadHere(d.journalFile(name))
	if left == nil || store == nil {
		return nil
	}
	names := []string{descriptors.Tap, descriptors.Transmit}
	for _, m := range left.Members {
		for _, kind := range []string{descriptors.Receive, descriptors.Isolation, descriptors.Groups,
			descriptors.Socket} {
			names = append(names, descriptors.Of(kind, m.Index))
		}
	}
	for _, n := range names {
		if err := store.Remove(n); err != nil {
			return err
		}
	}
	return store.Sync()
}

// tellManagersOfEnd does what a process that has given the NICs back could not.
func tellManagersOfEnd(d Dirs, name string, log *slog.Logger) error {
	if Runs(d, name) {
		return nil
	}
	told := managers.New(managers.Options{Team: name, StateDir: d.StateDir, Log: log})
	steps, err := told.GiveBack(context.Background())
	for _, s := range steps {
		log.Info("released", "team", name, "what", s)
	}
	return err
}
