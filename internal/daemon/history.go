package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
)

const (
	// historySaveInterval is how much of the past a process may lose that is killed.
	historySaveInterval = 5 * time.Minute
	// maxHistoryFile is more than a file of the past ever has.
	maxHistoryFile = 16 << 20
)

// loadHistory shows the team its past. A past that cannot be read is worth a word in the log, not more.
func (s *session) loadHistory(name string) {
	history, err := readBounded(s.dirs.HistoryFile(name))
	if err != nil {
		s.log.Warn("the traffic before this start is not known", "team", name, "err", err)
	}
	b, err := readBounded(s.dirs.EventsFile(name))
	if err != nil {
		s.log.Warn("the events before this start are not known", "team", name, "err", err)
	}
	if err := s.team.Recall(history, parseEvents(b)); err != nil {
		s.log.Warn("the traffic before this start is not known", "team", name, "err", err)
	}
}

// readBounded reads a file, nil where there is none.
func readBounded(path string) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular() || st.Size() > maxHistoryFile:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxHistoryFile)
	}
	return os.ReadFile(path)
}

// parseEvents reads events, one a line; a line that is none is left out.
func parseEvents(b []byte) (list []api.Event) {
	for len(b) > 0 {
		n, line, err := bufio.ScanLines(b, true)
		if err != nil || n == 0 {
			break
		}
		b = b[n:]
		var e api.Event
		if json.Unmarshal(line, &e) == nil && e.Schema == "nicteam.event/v1" && e.Event != "" {
			list = append(list, e)
		}
	}
	return list
}

// saveHistoryPeriodically writes the past from time to time until ctx ends.
func (s *session) saveHistoryPeriodically(ctx context.Context) {
	for tick := time.NewTicker(historySaveInterval); ; {
		select {
		case <-tick.C:
			s.saveHistory()
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// saveHistory keeps the past for the next process.
func (s *session) saveHistory() {
	s.historyMu.Lock()
	defer s.historyMu.Unlock()
	if s.historyDropped {
		return
	}
	name := s.team.Config().Team
	err := atomicfile.Write(s.dirs.HistoryFile(name), 0o640, s.team.WriteHistory)
	if e := atomicfile.Write(s.dirs.EventsFile(name), 0o640, s.writeEvents); err == nil {
		err = e
	}
	if err != nil {
		s.log.Warn("the past is not kept for a next start", "team", name, "err", err)
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

// dropHistory ends the keeping of the past of a team that is no more.
func (s *session) dropHistory(name string) {
	s.historyMu.Lock()
	defer s.historyMu.Unlock()
	s.historyDropped = true
	s.dirs.RemoveHistory(name)
}
