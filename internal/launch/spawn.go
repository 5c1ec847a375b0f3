// SPDX-License-Identifier: MIT

package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// errNoReport: the process ended without reporting a problem. Its log may explain it.
var errNoReport = errors.New("no report from the process")

// spawn starts a keeper (internal/keeper), detached from this process's terminal, session and streams, and waits until
// the team's process, which is the keeper's child, reports ready. If ctx ends first, the process puts the host back and
// both end.
func spawn(ctx context.Context, d Dirs, name, configFile string, level slog.Level, progress func(Report)) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	log, err := OpenLog(d.LogFile(name))
	if err != nil {
		_ = w.Close()
		return err
	}
	// Descriptors that the caller leaked must not stay open in a process that stays. Kernels before 5.11 cannot do
	// this.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	cmd := exec.Command(exe, d.Args("keeper", name, configFile, level < slog.LevelInfo)...)
	cmd.Dir = "/"
	// The caller's environment (secrets, a PATH) is not passed on. The settings are in the file, as they were checked.
	cmd.Env = []string{"PATH=" + SafePath, ReadyEnv(3)}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = startDetached(cmd, name)
	_ = w.Close()
	_ = log.Close()
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()

	lines := make(chan Report)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			var line Report
			if json.Unmarshal(s.Bytes(), &line) == nil {
				lines <- line
			}
		}
	}()
	var stopped error
	done := ctx.Done()
	for {
		select {
		case line, ok := <-lines:
			switch {
			case !ok && stopped != nil:
				<-gone
				return stopped
			case !ok:
				return &api.Problem{Kind: api.Failed, What: "start the process of " + name, Why: exitReason(<-gone),
					Fix: "read " + d.LogFile(name) + ", then: nicteam restore " + name, Err: errNoReport}
			case line.Problem != nil:
				<-gone
				if line.Died {
					line.Problem.Err = errNoReport
				}
				if stopped != nil && line.Problem.Kind == api.Reverted {
					return stopped
				}
				return line.Problem
			case line.Ready && stopped != nil:
				// The signal came just after it was ready: it has stopped and left the adapter.
				<-gone
				if Restorable(d, name) {
					if _, err := restoreTeam(d, name, nil, slog.New(slog.DiscardHandler)); err != nil {
						return err
					}
				}
				return stopped
			case line.Ready:
				return nil
			default:
				progress(line)
			}
		case <-done:
			// The process puts the host back and closes the pipe.
			done, stopped = nil, context.Cause(ctx)
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
}

// startDetached starts a keeper in a cgroup of its own, where that is permitted.
func startDetached(cmd *exec.Cmd, team string) error {
	c, err := newCgroup(team)
	if err != nil {
		return cmd.Start()
	}
	defer c.close()
	again := *cmd
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: c.dir}
	if err = cmd.Start(); err == nil {
		return nil
	}
	*cmd = again // not permitted there, or a kernel before 5.7
	if err = cmd.Start(); err == nil {
		_ = c.join(cmd.Process.Pid)
	}
	return err
}

// SafePath is the PATH of every process that nicteam starts: where a host's own programs are.
const SafePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"

// SetSafePath makes exec find the host's programs (nft), whatever PATH the caller has.
func SetSafePath() { _ = os.Setenv("PATH", SafePath) }

// OpenLog opens the log of a detached process for appending.
func OpenLog(path string) (*os.File, error) {
	return OpenOwned(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func exitReason(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "it ended before the team forwarded: " + exit.String()
	}
	return "it ended before the team forwarded"
}
