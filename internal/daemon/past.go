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

	"nicteam/internal/atomicfile"
	"nicteam/team"
)

const (
	// keepEvery is how much of the past a process may lose that is killed.
	keepEvery = 5 * time.Minute
	// maxPast is more than a file of the past ever has.
	maxPast = 16 << 20
)

// recall shows the team its past. A past that cannot be read is worth a word in the log, not more.
func (s *session) recall(name string) {
	history, err := readPast(s.dirs.HistoryFile(name))
	if err != nil {
		s.log.Warn("the traffic before this start is not known", "team", name, "err", err)
	}
	b, err := readPast(s.dirs.EventsFile(name))
	if err != nil {
		s.log.Warn("the events before this start are not known", "team", name, "err", err)
	}
	if err := s.team.Recall(history, eventsOf(b)); err != nil {
		s.log.Warn("the traffic before this start is not known", "team", name, "err", err)
	}
}

// readPast reads a file, nil where there is none.
func readPast(path string) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular() || st.Size() > maxPast:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxPast)
	}
	return os.ReadFile(path)
}

// eventsOf reads events, one a line; a line that is none is left out.
func eventsOf(b []byte) (list []team.Event) {
	for len(b) > 0 {
		n, line, err := bufio.ScanLines(b, true)
		if err != nil || n == 0 {
			break
		}
		b = b[n:]
		var e team.Event
		if json.Unmarshal(line, &e) == nil && e.Schema == "nicteam.event/v1" && e.Event != "" {
			list = append(list, e)
		}
	}
	return list
}

// keep writes the past from time to time until ctx ends.
func (s *session) keep(ctx context.Context) {
	for tick := time.NewTicker(keepEvery); ; {
		select {
		case <-tick.C:
			s.writePast()
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// writePast keeps the past for the next process.
func (s *session) writePast() {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if s.gone {
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

// dropPast ends the keeping of the past of a team that is no more.
func (s *session) dropPast(name string) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.gone = true
	s.dirs.RemoveHistory(name)
}
