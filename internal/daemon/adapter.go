package daemon

import (
	"context"

	"nicteam/internal/host"
	"nicteam/team"
)

// adapterStatus reads the adapter as the kernel has it.
func (s *session) adapterStatus() team.AdapterStatus {
	a := team.AdapterStatus{Name: s.adapter.Name(), Index: s.adapter.Index(), MAC: s.adapter.MAC().String(), Addresses: []string{}}
	n, err := s.host.NICAt(s.adapter.Index())
	if err != nil {
		return a
	}
	a.Name, a.MAC, a.MTU = n.Name, n.MAC.String(), n.MTU
	for _, p := range n.Addresses {
		a.Addresses = append(a.Addresses, p.String())
	}
	return a
}

// announcer is package host's reading of the adapter in the words of package team.
type announcer struct {
	host  *host.Host
	index int
}

// Ask has the adapter's stack ask whom it knows.
func (a announcer) Ask(context.Context) error { return a.host.AskNeighbours(a.index) }

// Announcement reads what the neighbours are to be told.
func (a announcer) Announcement(context.Context) (team.Announcement, error) {
	return a.host.Announcement(a.index)
}
