// SPDX-License-Identifier: MIT

package launch

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"

	"nicteam/internal/atomicfile"
	"nicteam/internal/control"
	"nicteam/internal/host/journal"
	"nicteam/internal/pending"
)

// PendingFile has the change that waits for confirmation (package pending).
func (d Dirs) PendingFile(name string) string { return filepath.Join(d.RunDir, name+".pending") }

// BeforeConfig is the configuration before that change.
func (d Dirs) BeforeConfig(name string) string {
	return filepath.Join(d.RunDir, "."+name+".before.yaml")
}

// EditedText is the text that replaces EditedFile when that change is confirmed, if somebody edited it.
func (d Dirs) EditedText(name string) string {
	return filepath.Join(d.RunDir, "."+name+".edited.yaml")
}

// OutcomeFile says what became of the last change that waited for confirmation.
func (d Dirs) OutcomeFile(name string) string { return filepath.Join(d.RunDir, name+".outcome") }

// Pending returns the change that waits for confirmation, nil if none does.
func (d Dirs) Pending(name string) *pending.Record {
	r, err := pending.Load(d.PendingFile(name))
	if err != nil {
		return nil
	}
	return r
}

// PendingTeams are the teams of which a change waits for confirmation, where that can be seen.
func (d Dirs) PendingTeams() []string {
	names, _ := teamsWith(d.RunDir, ".pending")
	return names
}

// RemovePending removes the record of the change that waited.
func (d Dirs) RemovePending(name string) {
	atomicfile.Remove(d.PendingFile(name))
	atomicfile.Remove(d.BeforeConfig(name))
	atomicfile.Remove(d.EditedText(name))
}

// Resumes reports whether a process of the team, which has ended, has left it on the host.
func (d Dirs) Resumes(name string) bool { return journal.ReadHere(d.journalFile(name)) != nil }

// ConfigFile is the team's TEAM.yaml.
func (d Dirs) ConfigFile(name string) string { return d.configFile(name) }

// StartConfig is the configuration with which a service manager starts the team: its TEAM.yaml, but while a change
// waits for confirmation the running one, which alone has the change.
func (d Dirs) StartConfig(name string) string {
	if d.Pending(name) == nil && !(d.isBeingCreated(name) && d.StartOptions(name).Change.Confirm > 0) {
		return d.configFile(name)
	}
	if _, err := os.Stat(d.RunningConfig(name)); err != nil {
		return d.configFile(name)
	}
	return d.RunningConfig(name)
}

// isBeingCreated reports whether a create waits for the reports of a process that systemd starts.
func (d Dirs) isBeingCreated(name string) bool {
	c, err := net.Dial("unix", d.reportSocket(name))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// StartOptions are what a create tells the team's process besides its configuration.
type StartOptions struct {
	Change  control.ChangeOptions `json:"change"`
	Persist bool                  `json:"persist"` // write TEAM.yaml when the change is confirmed
}

func (d Dirs) startOptionsFile(name string) string {
	return filepath.Join(d.RunDir, "."+name+".options")
}

// StartOptions returns what the create that waits for this process has written, the zero value if there is nothing.
func (d Dirs) StartOptions(name string) (o StartOptions) {
	b, err := os.ReadFile(d.startOptionsFile(name))
	if err != nil || json.Unmarshal(b, &o) != nil {
		return StartOptions{}
	}
	return o
}

// tell writes the options for the team's process.
func (d Dirs) tell(name string, o StartOptions) error {
	return atomicfile.Replace(d.startOptionsFile(name), 0o640, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(o)
	})
}
