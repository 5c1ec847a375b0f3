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

// memorySchema names the document in the file.
const memorySchema = "nicteam.lacp-memory/v1"

type memoryDocument struct {
	Schema string `json:"schema"`
	lacp.Memory
}

// remembered is what the process before this one left, nil nothing. Only one that goes on with its adapter may use it.
// What cannot be read is worth a word in the log, not more: the partners are negotiated with anew.
func (s *session) remembered(name string, again bool) *lacp.Memory {
	if !again {
		s.dirs.RemoveLACPState(name)
		return nil
	}
	b, err := readPast(s.dirs.LACPStateFile(name))
	if b == nil && err == nil {
		return nil
	}
	m := &lacp.Memory{}
	if err == nil {
		m, err = memoryOf(b)
	}
	if err != nil {
		s.log.Warn("LACP begins anew", "team", name, "err", err)
		return nil
	}
	return m
}

// errMemory is a file that was not written by a team's process.
var errMemory = errors.New("what is remembered makes no sense")

// memoryOf reads a memory that makes sense.
func memoryOf(b []byte) (*lacp.Memory, error) {
	var d memoryDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, errors.Join(errMemory, err)
	}
	names, numbers := map[string]bool{}, map[uint16]bool{}
	for _, p := range d.Ports {
		if p.Name == "" || names[p.Name] || p.Number == 0 || numbers[p.Number] || p.Mux > lacp.MuxDistributing || p.Aggregator < 0 || p.Aggregator > spread.MaxMembers {
			return nil, errMemory
		}
		names[p.Name], numbers[p.Number] = true, true
	}
	if d.Schema != memorySchema || len(d.Ports) > 0 && (d.System.MAC == 0 || d.System.MAC.Multicast()) {
		return nil, errMemory
	}
	return &d.Memory, nil
}

// remember keeps a memory for the next process.
func (s *session) remember(name string) func(*lacp.Memory) {
	return func(m *lacp.Memory) {
		err := atomicfile.Write(s.dirs.LACPStateFile(name), 0o640, func(w io.Writer) error { return json.NewEncoder(w).Encode(memoryDocument{memorySchema, *m}) })
		if err != nil {
			s.log.Warn("LACP is not remembered: partners will notice the next start", "team", name, "err", err)
		}
	}
}

// keepSystem has a system id that is drawn anew with each reading of a file stay what it was: partners are not to notice
// a new start.
func (o *RunOptions) keepSystem() {
	was, err := config.Load(config.Options{Path: o.RunningConfig(o.Config.Team)})
	if err == nil && was.Config.LACP.System != 0 {
		o.Config.LACP.System = was.Config.LACP.System
	}
}
