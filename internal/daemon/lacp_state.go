// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"

	"nicteam/internal/config"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// lacpStateSchema names the document in the LACP state file.
const lacpStateSchema = "nicteam.lacp-memory/v1"

// maxLACPState bounds the file, in bytes: 64 ports are some 20 KB.
const maxLACPState = 1 << 20

type lacpStateDocument struct {
	Schema string `json:"schema"`
	lacp.Memory
}

// loadLACPState returns the LACP state of the process before this one, nil for none. Only a start that resumes its
// adapter may use it. State that cannot be read is logged; then LACP negotiates from the start.
func (s *session) loadLACPState(name string, resume bool) *lacp.Memory {
	if !resume {
		s.dirs.RemoveLACPState(name)
		return nil
	}
	b, err := readState(s.dirs.LACPStateFile(name), maxLACPState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	m := &lacp.Memory{}
	if err == nil {
		m, err = parseLACPState(b)
	}
	if err != nil {
		s.log.Warn("LACP state discarded", "team", name, "err", err)
		return nil
	}
	return m
}

// errLACPState: no process of a team wrote such a file.
var errLACPState = errors.New("inconsistent LACP state")

// parseLACPState parses and checks LACP state.
func parseLACPState(b []byte) (*lacp.Memory, error) {
	var d lacpStateDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, errors.Join(errLACPState, err)
	}
	names, numbers := map[string]bool{}, map[uint16]bool{}
	for _, p := range d.Ports {
		if p.Name == "" || names[p.Name] || p.Number == 0 || numbers[p.Number] || p.Mux > lacp.MuxDistributing ||
			p.Aggregator < 0 || p.Aggregator > spread.MaxMembers {
			return nil, errLACPState
		}
		names[p.Name], numbers[p.Number] = true, true
	}
	if d.Schema != lacpStateSchema || len(d.Ports) > 0 && (d.System.MAC == 0 || d.System.MAC.Multicast()) {
		return nil, errLACPState
	}
	return &d.Memory, nil
}

// saveLACPState returns a function that stores the LACP state, so that partners do not notice a restart.
func (s *session) saveLACPState(name string) func(*lacp.Memory) {
	return func(m *lacp.Memory) {
		err := writeState(s.dirs.LACPStateFile(name), lacpStateDocument{lacpStateSchema, *m})
		if err != nil {
			s.log.Warn("LACP state not saved: partners will notice a restart", "team", name, "err", err)
		}
	}
}

// keepRandomSystem keeps the system ID of the process before this one. A file that says random draws another at each
// reading, which partners would take for another system.
func (o *Options) keepRandomSystem() {
	was, err := config.Load(config.Options{Path: o.RunningConfig(o.Config.Team)})
	if err == nil && was.Config.LACP.System != 0 {
		o.Config.LACP.System = was.Config.LACP.System
	}
}
