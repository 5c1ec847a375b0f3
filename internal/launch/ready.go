// SPDX-License-Identifier: MIT

package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// A Report is one line of JSON that a starting team process writes to its ready pipe: steps and warnings as they come,
// then Ready or a Problem.
type Report struct {
	Step    string       `json:"step,omitempty"`
	Warning string       `json:"warning,omitempty"`
	Ready   bool         `json:"ready,omitempty"`
	Problem *api.Problem `json:"problem,omitempty"`
	Died    bool         `json:"died,omitempty"` // the process ended without a report; the keeper tells of the Problem
}

// Reporter reports the start of a team to the process that waits for it, if any, and to the log.
type Reporter struct {
	Out         io.Writer // the ready pipe; nil: nobody waits, as under a service manager
	Log         *slog.Logger
	Undelivered []string // warnings while nobody waited, for the status
}

// Send writes a report, if somebody waits. A caller that went away does not matter.
func (r *Reporter) Send(line Report) {
	if r.Out == nil {
		return
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, _ = r.Out.Write(append(b, '\n'))
	}
}

// Step reports a finished step.
func (r *Reporter) Step(format string, args ...any) {
	r.Send(Report{Step: fmt.Sprintf(format, args...)})
}

// Warn reports warnings that hold as long as the team runs.
func (r *Reporter) Warn(texts ...string) {
	r.WarnOnce(texts...)
	if r.Out == nil {
		r.Undelivered = append(r.Undelivered, texts...)
	}
}

// WarnOnce reports warnings about the moment. They are not kept for the status, which shows their cause if it lasts.
func (r *Reporter) WarnOnce(texts ...string) {
	for _, text := range texts {
		r.Log.Warn(text)
		r.Send(Report{Warning: text})
	}
}

// readyFDEnv names the descriptor of the ready pipe in the environment of `nicteam run`.
const readyFDEnv = "NICTEAM_READY_FD"

// ReadyEnv is the variable that names the descriptor of the ready pipe to a process.
func ReadyEnv(fd int) string { return readyFDEnv + "=" + strconv.Itoa(fd) }

// InheritedReadyPipe returns the pipe on which the process that started this one waits for reports, nil if there is
// none.
func InheritedReadyPipe() *os.File {
	fd, err := strconv.ParseUint(os.Getenv(readyFDEnv), 10, 31)
	_ = os.Unsetenv(readyFDEnv)
	var st unix.Stat_t
	if err != nil || fd < 3 || unix.Fstat(int(fd), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(int(fd))
	return os.NewFile(uintptr(fd), "ready")
}

// ReadyPipe returns the pipe or socket on which a create waits for reports of this process, nil if none does. byUnit:
// systemd started this process for it.
func ReadyPipe(d Dirs, name string) (out *os.File, byUnit bool) {
	if out := InheritedReadyPipe(); out != nil {
		return out, false
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: d.reportSocket(name), Net: "unix"})
	if err != nil {
		return nil, false
	}
	defer func() { _ = c.Close() }()
	if out, err = c.File(); err != nil {
		return nil, false
	}
	return out, true
}
