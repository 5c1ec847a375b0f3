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
	"path/filepath"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/config"
)

const (
	// keepEvery is how much of the past a process may lose that is killed.
	keepEvery = 5 * time.Minute
	// maxPast is more than a file of the past ever has.
	maxPast = 16 << 20
)

// history and events are what a team knows of its past, for its next process.
func (p Places) history(name string) string { return filepath.Join(p.StateDir, name+".history") }
func (p Places) events(name string) string  { return filepath.Join(p.StateDir, name+".events") }

// forgetPast removes what is kept of a team's past.
func (p Places) forgetPast(name string) {
	for _, path := range []string{p.history(name), p.events(name)} {
		discard(path)
	}
}

// comesBack reports whether a team that was stopped is configured for another start. Of one that is not, nothing is to be left.
func (p Places) comesBack(name string) bool {
	_, err := os.Stat(p.config(name))
	return err == nil
}

// recall shows the team its past. A past that cannot be read is worth a word in the log, not more.
func (s *session) recall(name string) {
	history, err := readPast(s.places.history(name))
	if err != nil {
		s.log.Warn("the traffic before this start is not known", "team", name, "err", err)
	}
	b, err := readPast(s.places.events(name))
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
func eventsOf(b []byte) (list []api.Event) {
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
	err := replace(s.places.history(name), s.team.WriteHistory)
	if e := replace(s.places.events(name), s.writeEvents); err == nil {
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
	s.places.forgetPast(name)
}

// unfinished is the end of the name of a file that is being written. It is always the same, for only the process of the team
// writes it: one that was killed leaves no more than one.
const unfinished = config.Unfinished

// discard removes a file, and what of it a process left that was killed while it wrote it.
func discard(path string) {
	_ = os.Remove(path)
	_ = os.Remove(path + unfinished)
}

// replace writes a file, 0640, that is there whole or as it was before.
func replace(path string, write func(io.Writer) error) error {
	f, err := openOwn(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Chmod(0o640) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
