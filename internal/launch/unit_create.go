// SPDX-License-Identifier: MIT

package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/settings"
)

const notAtBoot = "the team does not come back after a reboot: "

// useUnit decides whether systemd shall run the team. why says what a user should know if not; "" if there is nothing
// to say, because systemd does not run here or other directories were chosen.
func (o CreateOptions) useUnit(made *api.Created) (use bool, why string) {
	switch {
	case o.NoPersist:
		return false, ""
	case o.Dirs != Standard || !systemdRuns():
		return false, ""
	}
	u, err := readUnit(o.Config.Team)
	if err == nil {
		why = u.unusable(o.Config.Team)
	} else {
		why = err.Error()
	}
	if why != "" {
		return false, notAtBoot + why
	}
	if len(u.weak) > 0 {
		o.warn(made, fmt.Sprintf("%s has been changed (%s): a death of the team's process may interrupt the network",
			unitName(o.Config.Team), strings.Join(u.weak, ", ")))
	}
	return true, ""
}

// startUnit writes TEAM.yaml, has systemd start the team and waits until it reports ready. On an error the file is as
// it was, and the unit stopped.
func (o CreateOptions) startUnit(ctx context.Context, c settings.Config, progress func(Report)) error {
	path := o.configFile(c.Team)
	if o.Confirm > 0 { // TEAM.yaml is written when it is confirmed
		path = o.RunningConfig(c.Team)
	}
	before, err := os.ReadFile(path)
	existed := err == nil
	if err := config.Update(path, c); err != nil {
		return &unsaved{err}
	}
	err = runUnit(ctx, o.Dirs, c.Team, progress)
	if err == nil {
		return nil
	}
	if !existed {
		atomicfile.Remove(path)
	} else if e := os.WriteFile(path, before, 0o640); e != nil {
		o.Log.Warn("TEAM.yaml not put back", "path", path, "err", e)
	}
	return err
}

// unsaved: TEAM.yaml cannot be written, so the unit could not read it.
type unsaved struct{ error }

// enableUnit makes the team start at boot, and says so.
func (o CreateOptions) enableUnit(made *api.Created) {
	step, err := EnableUnit(o.Config.Team)
	if err != nil {
		o.warn(made, err.Error())
		return
	}
	o.step(made, step)
}

// EnableUnit makes systemd start a team at boot.
func EnableUnit(team string) (step string, err error) {
	unit := unitName(team)
	if _, err := ask("--quiet", "enable", unit); err != nil {
		return "", fmt.Errorf("%s%w", notAtBoot, err)
	}
	return strings.TrimSuffix(unit, ".service") + " is enabled: the team comes back after a reboot", nil
}

// runUnit starts a team's unit and returns when the team forwards. After an error the host is as before.
func runUnit(ctx context.Context, d Dirs, name string, progress func(Report)) error {
	l, err := listenReports(d, name)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	ended := make(chan struct{})
	defer close(ended)
	reports := make(chan Report)
	go serveReports(l, reports, ended)
	started := make(chan error, 1)
	go func() {
		_, err := systemctl(context.WithoutCancel(ctx), "start", unitName(name))
		started <- err
	}()
	// What a process left that did not report a problem, ExecStopPost gives back.
	stop := func(err error) error {
		_ = stopUnit(context.WithoutCancel(ctx), name)
		_, _ = ask("reset-failed", unitName(name))
		return err
	}
	var startErr error
	var silent <-chan time.Time
	for {
		select {
		case line, ok := <-reports:
			switch {
			case !ok:
				return stop(noReport(name, "it ended before the team forwarded"))
			case line.Problem != nil:
				return stop(line.Problem)
			case line.Ready:
				if started != nil {
					startErr = <-started
				}
				return startErr
			default:
				progress(line)
			}
		case startErr = <-started:
			started, silent = nil, time.After(silence)
		case <-silent:
			if startErr != nil {
				return stop(noReport(name, startErr.Error()))
			}
			client := control.NewClient(d.RunDir, name)
			defer client.Close()
			if _, err := client.Status(ctx); err != nil {
				return stop(noReport(name, "it does not report: "+err.Error()))
			}
			return nil // something else than this program's unit, but a team
		case <-ctx.Done():
			return stop(context.Cause(ctx))
		}
	}
}

// silence is how long a report may take after systemd says that the unit has started, or cannot.
const silence = 2 * time.Second

func noReport(name, why string) *api.Problem {
	return &api.Problem{Kind: api.Failed, What: "start " + unitName(name), Why: why,
		Fix: "read: journalctl -u " + unitName(name), Err: errNoReport}
}

// reportSocket is where a create waits for the reports of a team that systemd starts.
func (d Dirs) reportSocket(name string) string { return filepath.Join(d.RunDir, name+".create") }

// listenReports makes the socket, for root alone from its first moment: by its mode before bind(2), as the kernel takes
// that over (net/unix/af_unix.c, unix_bind_bsd), less the umask. The file of a create that was killed is replaced.
func listenReports(d Dirs, name string) (*net.UnixListener, error) {
	path := d.reportSocket(name)
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, &api.Problem{Kind: api.Conflict, What: "create " + name, Why: "it is being created already",
			Fix: "nicteam status " + name}
	}
	_ = os.Remove(path)
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var refused error
		err := c.Control(func(fd uintptr) { refused = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, refused)
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, &api.Problem{Kind: api.Failed, What: "create " + name, Why: err.Error(),
			Fix: "check what is there: ls -l " + path, Err: err}
	}
	return l.(*net.UnixListener), nil
}

// serveReports passes on what one process reports, and closes reports when it is gone.
func serveReports(l *net.UnixListener, reports chan<- Report, ended <-chan struct{}) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return // runUnit has ended
		}
		lines := bufio.NewScanner(c)
		heard := false
		for lines.Scan() {
			var line Report
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue
			}
			heard = true
			select {
			case reports <- line:
			case <-ended:
				_ = c.Close()
				return
			}
		}
		_ = c.Close()
		if heard { // else another create, that looked whether somebody listens
			close(reports)
			return
		}
	}
}
