package relay

import (
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/team"
)

// writeTunnel gives the adapter the super-frame b of a tunnel: whole where the kernel has a header for it, else as
// UDP super-frames of the tunnel's datagrams, else in segments.
func (m *member) writeTunnel(b []byte) (team.Drop, bool) {
	var v frame.Vnet
	v.Unmarshal(b)
	if m.tunnel && v.MarshalTunnel(b) {
		_, err := m.queue.WriteTunnel(b)
		for err == unix.EINTR {
			_, err = m.queue.WriteTunnel(b)
		}
		switch err {
		case nil:
			return 0, true
		case unix.EINVAL:
			v.Marshal(b) // the kernel knows better, of this frame
		default:
			return team.DropAdapter, false
		}
	}
	took := false
	if !m.merge {
		took = m.segment(b)
	} else if err := frame.Regroup(v, b[frame.VnetLen:], func(group []byte) bool {
		_, ok := m.write(group, false)
		took = took || ok
		return true
	}); err != nil {
		return team.DropMalformed, false
	}
	if !took {
		return team.DropAdapter, false
	}
	return 0, true
}
