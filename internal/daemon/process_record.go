// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/boot"
)

// How a process began, in the status.
const (
	startNew  = "new"  // it took the NICs over
	startWarm = "warm" // by the descriptors that the process before left
	startCold = "cold" // by the journal and the adapter that the process before left
)

// How the process before ended, in the status.
const (
	afterHandover = "handover"
	afterDeath    = "death"
)

const processSchema = "nicteam.process/v1"

// processRecord is in RUN_DIR/TEAM.process while a process of the team runs or is to run again.
type processRecord struct {
	Schema     string `json:"schema"`
	Boot       string `json:"boot"` // boot_id of the kernel
	Starts     int    `json:"starts"`
	Version    string `json:"version"`
	HandedOver bool   `json:"handed_over"`
	BootTime   int64  `json:"boottime_ns"` // of the start
	ShortLived int    `json:"short_lived"` // processes before it, in a row, that died soon after their start
}

const (
	// shortLife is how soon after a start a death may come from what the process began with.
	shortLife = 3 * time.Second
	// maxShortLives: after so many such deaths in a row the next process begins with nothing of the one before.
	maxShortLives = 3
)

// maxProcessRecord bounds the file, in bytes.
const maxProcessRecord = 4 << 10

// parseProcessRecord returns nil for what no process wrote since the boot.
func parseProcessRecord(b []byte, boot string) *processRecord {
	var r processRecord
	if len(b) > maxProcessRecord || json.Unmarshal(b, &r) != nil || r.Schema != processSchema || r.Starts < 1 ||
		r.ShortLived < 0 || r.Boot != boot || len(r.Version) > 256 {
		return nil
	}
	return &r
}

// lifetime is what the status tells of this process.
type lifetime struct {
	started time.Time
	record  processRecord
	before  *processRecord // of the process before; nil: none
	path    string

	start  string // startNew, …
	reason string // why the start is cold; "": nothing was expected

	unconfined string // what of the sandbox is missing
}

// newLifetime reads the record of the process before and replaces it.
func newLifetime(path, version string) *lifetime {
	l := &lifetime{started: time.Now(), path: path, start: startNew}
	l.record = processRecord{Schema: processSchema, Boot: bootID(), Starts: 1, Version: version}
	if b, err := readState(path, maxProcessRecord); err == nil {
		l.before = parseProcessRecord(b, l.record.Boot)
	}
	l.record.BootTime = int64(boot.Time())
	if b := l.before; b != nil {
		l.record.Starts = b.Starts + 1
		if !b.HandedOver && l.record.BootTime-b.BootTime < int64(shortLife) {
			l.record.ShortLived = b.ShortLived + 1
		}
	}
	return l
}

// save writes the record for the next process.
func (l *lifetime) save(handedOver bool) error {
	l.record.HandedOver = handedOver
	return writeState(l.path, l.record)
}

// after is how the process before ended, "" if there was none.
func (l *lifetime) after() string {
	switch {
	case l.before == nil:
		return ""
	case l.before.HandedOver:
		return afterHandover
	}
	return afterDeath
}

// addTo completes a status.
func (l *lifetime) addTo(st *api.Status) {
	st.Started, st.Version = l.started, l.record.Version
	st.Supervisor = &api.Supervisor{Starts: l.record.Starts, LastStart: l.start, After: l.after(),
		Reason: l.reason, Unconfined: l.unconfined}
	if l.before != nil {
		st.Supervisor.FromVersion = l.before.Version
	}
}
