// SPDX-License-Identifier: MIT

package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/tick"
)

const (
	historySaveInterval = 5 * time.Minute // what a killed process may lose
	maxHistoryFile      = 16 << 20        // bytes; no history or events file gets as large
)

// loadHistory gives the team the traffic history and the events of earlier processes. What cannot be read is logged and
// ignored.
func (s *session) loadHistory(name string) {
	history, err := readState(s.dirs.HistoryFile(name), maxHistoryFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("traffic history not loaded", "team", name, "err", err)
	}
	b, err := readState(s.dirs.EventsFile(name), maxHistoryFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("earlier events not loaded", "team", name, "err", err)
	}
	if err := s.team.RestoreHistory(history, parseEvents(b)); err != nil {
		s.log.Warn("traffic history not loaded", "team", name, "err", err)
	}
}

// parseEvents parses events, one a line, and ignores other lines.
func parseEvents(b []byte) (list []api.Event) {
	for len(b) > 0 {
		n, line, err := bufio.ScanLines(b, true)
		if err != nil || n == 0 {
			break
		}
		b = b[n:]
		var e api.Event
		if json.Unmarshal(line, &e) == nil && e.Schema == api.EventSchema && e.Event != "" {
			list = append(list, e)
		}
	}
	return list
}

// saveHistoryPeriodically saves the history until ctx ends.
func (s *session) saveHistoryPeriodically(ctx context.Context) {
	for range tick.Every(ctx, historySaveInterval) {
		s.saveHistory()
	}
}

// saveHistory writes history and events for the next process.
func (s *session) saveHistory() {
	s.historyMu.Lock()
	defer s.historyMu.Unlock()
	if s.historyDropped {
		return
	}
	name := s.team.Config().Team
	err := atomicfile.Write(s.dirs.HistoryFile(name), stateMode, s.team.WriteHistory)
	if e := atomicfile.Write(s.dirs.EventsFile(name), stateMode, s.writeEvents); err == nil {
		err = e
	}
	if err != nil {
		s.log.Warn("history not saved", "team", name, "err", err)
	}
}

func (s *session) writeEvents(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, e := range s.team.Events(time.Time{}) {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// dropHistory removes the history and writes it no more.
func (s *session) dropHistory(name string) {
	s.historyMu.Lock()
	defer s.historyMu.Unlock()
	s.historyDropped = true
	s.dirs.RemoveHistory(name)
}
