package daemon

import (
	"encoding/json"
	"errors"
	"io"

	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// lacpStateSchema names the document in the file.
const lacpStateSchema = "nicteam.lacp-memory/v1"

type lacpStateDocument struct {
	Schema string `json:"schema"`
	lacp.Memory
}

// loadLACPState is what the process before this one left, nil nothing. Only one that goes on with its adapter may use it.
// What cannot be read is worth a word in the log, not more: the partners are negotiated with anew.
func (s *session) loadLACPState(name string, again bool) *lacp.Memory {
	if !again {
		s.dirs.RemoveLACPState(name)
		return nil
	}
	b, err := readBounded(s.dirs.LACPStateFile(name))
	if b == nil && err == nil {
		return nil
	}
	m := &lacp.Memory{}
	if err == nil {
		m, err = parseLACPState(b)
	}
	if err != nil {
		s.log.Warn("LACP begins anew", "team", name, "err", err)
		return nil
	}
	return m
}

// errLACPState is a file that was not written by a team's process.
var errLACPState = errors.New("what is remembered makes no sense")

// parseLACPState reads a memory that makes sense.
func parseLACPState(b []byte) (*lacp.Memory, error) {
	var d lacpStateDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, errors.Join(errLACPState, err)
	}
	names, numbers := map[string]bool{}, map[uint16]bool{}
	for _, p := range d.Ports {
		if p.Name == "" || names[p.Name] || p.Number == 0 || numbers[p.Number] || p.Mux > lacp.MuxDistributing || p.Aggregator < 0 || p.Aggregator > spread.MaxMembers {
			return nil, errLACPState
		}
		names[p.Name], numbers[p.Number] = true, true
	}
	if d.Schema != lacpStateSchema || len(d.Ports) > 0 && (d.System.MAC == 0 || d.System.MAC.Multicast()) {
		return nil, errLACPState
	}
	return &d.Memory, nil
}

// saveLACPState keeps a memory for the next process.
func (s *session) saveLACPState(name string) func(*lacp.Memory) {
	return func(m *lacp.Memory) {
		err := atomicfile.Write(s.dirs.LACPStateFile(name), 0o640, func(w io.Writer) error { return json.NewEncoder(w).Encode(lacpStateDocument{lacpStateSchema, *m}) })
		if err != nil {
			s.log.Warn("LACP is not remembered: partners will notice the next start", "team", name, "err", err)
		}
	}
}

// keepRandomSystem has a system id that is drawn anew with each reading of a file stay what it was: partners are not to notice
// a new start.
func (o *Options) keepRandomSystem() {
	was, err := config.Load(config.Options{Path: o.RunningConfig(o.Config.Team)})
	if err == nil && was.Config.LACP.System != 0 {
		o.Config.LACP.System = was.Config.LACP.System
	}
}
