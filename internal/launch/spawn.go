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

	"nicteam/team"
)

// errNoReport is a process that ended without a word but, maybe, in its log.
var errNoReport = errors.New("unexplained end")

// spawn starts the team's process detached from this one's terminal, session and streams, and
// waits until it reports that it forwards. ctx ending while it waits ends the new process in order.
func spawn(ctx context.Context, p Dirs, name, configFile string, level slog.Level, progress func(Report)) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	log, err := OpenLog(p.LogFile(name))
	if err != nil {
		_ = w.Close()
		return err
	}
	args := []string{"run", name, "--config", configFile,
		"--run-dir", p.RunDir, "--state-dir", p.StateDir, "--config-dir", p.ConfigDir}
	if level < slog.LevelInfo {
		args = append(args, "-v")
	}
	// What the caller left open for us by accident is not for a process that stays. Kernels before 5.11 cannot.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	// The caller's environment is not passed on: the settings are in the file, as they were checked, and what else is in it
	// (secrets, a PATH) is not for a process that stays.
	cmd.Env = []string{"PATH=" + safePath, readyFDEnv + "=3"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
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
				return &team.Problem{Kind: team.Failed, What: "start the process of " + name,
					Why: exitReason(<-gone), Fix: "read " + p.LogFile(name) + ", then: nicteam restore " + name, Err: errNoReport}
			case line.Problem != nil:
				<-gone
				if stopped != nil && line.Problem.Kind == team.Reverted {
					return stopped
				}
				return line.Problem
			case line.Ready && stopped != nil:
				// It has just become a team and ends as one, with the adapter left for the next start.
				<-gone
				if _, err := restore(p, name, nil, slog.New(slog.DiscardHandler)); err != nil {
					return err
				}
				return stopped
			case line.Ready:
				return nil
			default:
				progress(line)
			}
		case <-done:
			// It puts the host back and closes the pipe.
			done, stopped = nil, context.Cause(ctx)
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
}

// safePath has the directories of a host's own programs.
const safePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"

// SetSafePath has the programs that we run, nft, be those of the host, whatever the one who started this process has in his
// PATH.
func SetSafePath() { _ = os.Setenv("PATH", safePath) }

// OpenLog opens the log of a detached process.
func OpenLog(path string) (*os.File, error) {
	return OpenOwned(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func exitReason(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "it ended before it forwarded: " + exit.String()
	}
	return "it ended before it forwarded"
}
