package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"nicteam/team"
	"os"
	"syscall"
)

// Report is a line that a starting team process writes to the descriptor it was given:
// steps as they are done, then either ready or a problem.
type Report struct {
	Step    string        `json:"step,omitempty"`
	Warning string        `json:"warning,omitempty"`
	Ready   bool          `json:"ready,omitempty"`
	Problem *team.Problem `json:"problem,omitempty"`
}

// Reporter tells who waits for the team, if anybody does, and the log.
type Reporter struct {
	Out         io.Writer // nil: nobody waits, as under a service manager
	Log         *slog.Logger
	Undelivered []string // warnings that nobody was told of
}

func (r *Reporter) Send(line Report) {
	if r.Out == nil {
		return
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, _ = r.Out.Write(append(b, '\n')) // a caller that went away does not matter
	}
}

func (r *Reporter) Step(format string, args ...any) {
	r.Send(Report{Step: fmt.Sprintf(format, args...)})
}

// Warn says what is worth knowing as long as the team runs. Where nobody waits it is kept for the status.
func (r *Reporter) Warn(texts ...string) {
	r.Mention(texts...)
	if r.Out == nil {
		r.Undelivered = append(r.Undelivered, texts...)
	}
}

// Mention says what is worth knowing now; if it lasts the status says so by itself.
func (r *Reporter) Mention(texts ...string) {
	for _, text := range texts {
		r.Log.Warn(text)
		r.Send(Report{Warning: text})
	}
}

// readyFDEnv names the descriptor that `nicteam run` reports to when spawn started it.
const readyFDEnv = "NICTEAM_READY_FD"

// ReadyPipe is the descriptor that the starter of this process waits on, nil when there is none.
func ReadyPipe() *os.File {
	if os.Getenv(readyFDEnv) != "3" {
		return nil
	}
	_ = os.Unsetenv(readyFDEnv)
	syscall.CloseOnExec(3)
	return os.NewFile(3, "ready")
}
