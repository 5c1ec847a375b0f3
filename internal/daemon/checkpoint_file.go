// SPDX-License-Identifier: MIT

package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"nicteam/internal/atomicfile"
	"nicteam/internal/boot"
	"nicteam/team"
)

// checkpointSchema names the document in the checkpoint file.
const checkpointSchema = "nicteam.state/v1"

// maxCheckpoint bounds the file, in bytes: 4096 peers and 4096 stations are 3 MB.
const maxCheckpoint = 16 << 20

// checkpointDocument is a Checkpoint with what makes its times those of another process.
type checkpointDocument struct {
	Schema     string           `json:"schema"`
	Boot       string           `json:"boot"`        // boot_id of the kernel
	BootTime   int64            `json:"boottime_ns"` // of the Checkpoint's At, by CLOCK_BOOTTIME
	Checkpoint *team.Checkpoint `json:"checkpoint"`
}

// errCheckpoint: no process of a team wrote such a file.
var errCheckpoint = errors.New("inconsistent checkpoint file")

// loadCheckpoint returns the Checkpoint of the process before this one, with its times by the clock of this one.
func loadCheckpoint(path string) (*team.Checkpoint, error) {
	b, err := readState(path, maxCheckpoint)
	if err != nil {
		return nil, err
	}
	c, at, err := parseCheckpoint(b, bootID(), boot.Time())
	if err != nil {
		return nil, err
	}
	c.Rebase(time.Now().Add(at - boot.Time()))
	return c, nil
}

// parseCheckpoint returns the Checkpoint of a document of this boot, and its time since the boot.
func parseCheckpoint(b []byte, boot string, now time.Duration) (c *team.Checkpoint, at time.Duration, err error) {
	var d checkpointDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	switch {
	case d.Schema != checkpointSchema:
		return nil, 0, fmt.Errorf("checkpoint file of another version: %.40q", d.Schema)
	case d.Boot != boot:
		return nil, 0, errors.New("the checkpoint is from before the boot")
	case d.Checkpoint == nil || d.BootTime < 0 || time.Duration(d.BootTime) > now:
		return nil, 0, errCheckpoint
	}
	return d.Checkpoint, time.Duration(d.BootTime), nil
}

// checkpointWriter writes Checkpoints that differ from the one before. One goroutine uses it.
type checkpointWriter struct {
	path   string
	failed func(error)
	last   []byte
}

// write replaces the file; nil removes it. It is not synced: it must survive the process, not the kernel, and lies in
// memory.
func (w *checkpointWriter) write(c *team.Checkpoint) {
	if c == nil {
		w.last = nil
		atomicfile.Remove(w.path)
		return
	}
	body, err := json.Marshal(withoutTime(c))
	if err == nil && bytes.Equal(body, w.last) {
		return
	}
	w.last = body
	var b []byte
	if err == nil {
		b, err = json.Marshal(checkpointDocument{checkpointSchema, bootID(),
			int64(boot.Time() - time.Since(c.At)), c})
	}
	if err == nil {
		err = atomicfile.Replace(w.path, stateMode, func(f io.Writer) error {
			_, err := f.Write(b)
			return err
		})
	}
	if err != nil {
		w.last = nil
		atomicfile.Remove(w.path) // an old one would be taken for the present state
		w.failed(err)
	}
}

func withoutTime(c *team.Checkpoint) *team.Checkpoint {
	d := *c
	d.At = time.Time{}
	return &d
}
