package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// report is a line that a starting team process writes to the descriptor it was given:
// steps as they are done, then either ready or a problem.
type report struct {
	Step    string       `json:"step,omitempty"`
	Warning string       `json:"warning,omitempty"`
	Ready   bool         `json:"ready,omitempty"`
	Problem *api.Problem `json:"problem,omitempty"`
}

// reporter tells who waits for the team, if anybody does, and the log.
type reporter struct {
	w       io.Writer // nil: nobody waits, as under a service manager
	log     *slog.Logger
	unheard []string // warnings that nobody was told of
}

func (r *reporter) send(line report) {
	if r.w == nil {
		return
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, _ = r.w.Write(append(b, '\n')) // a caller that went away does not matter
	}
}

func (r *reporter) step(format string, args ...any) {
	r.send(report{Step: fmt.Sprintf(format, args...)})
}

// warn says what is worth knowing as long as the team runs. Where nobody waits it is kept for the status.
func (r *reporter) warn(texts ...string) {
	r.mention(texts...)
	if r.w == nil {
		r.unheard = append(r.unheard, texts...)
	}
}

// mention says what is worth knowing now; if it lasts the status says so by itself.
func (r *reporter) mention(texts ...string) {
	for _, text := range texts {
		r.log.Warn(text)
		r.send(report{Warning: text})
	}
}

// readyEnv names the descriptor that `nicteam run` reports to when spawn started it.
const readyEnv = "NICTEAM_READY_FD"

// ReadyFile is the descriptor that the starter of this process waits on, nil when there is none.
func ReadyFile() *os.File {
	if os.Getenv(readyEnv) != "3" {
		return nil
	}
	_ = os.Unsetenv(readyEnv)
	syscall.CloseOnExec(3)
	return os.NewFile(3, "ready")
}

// errUnexplained is a process that ended without a word but, maybe, in its log.
var errUnexplained = errors.New("unexplained end")

// spawn starts the team's process detached from this one's terminal, session and streams, and
// waits until it reports that it forwards. ctx ending while it waits ends the new process in order.
func spawn(ctx context.Context, p Places, name, configFile string, level slog.Level, progress func(report)) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	log, err := openLog(p.log(name))
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
	cmd.Env = []string{"PATH=" + safePath, readyEnv + "=3"}
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

	lines := make(chan report)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			var line report
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
				return &api.Problem{Code: api.Failed, What: "start the process of " + name,
					Why: exitReason(<-gone), Fix: "read " + p.log(name) + ", then: nicteam restore " + name, Err: errUnexplained}
			case line.Problem != nil:
				<-gone
				if stopped != nil && line.Problem.Code == api.Reverted {
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

// useSafePath has the programs that we run, nft, be those of the host, whatever the one who started this process has in his
// PATH.
func useSafePath() { _ = os.Setenv("PATH", safePath) }

// openLog opens the log of a detached process.
func openLog(path string) (*os.File, error) {
	return openOwn(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func exitReason(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "it ended before it forwarded: " + exit.String()
	}
	return "it ended before it forwarded"
}
