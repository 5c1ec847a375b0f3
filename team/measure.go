package team

import (
	"context"
	"time"

	"nicteam/modes"
)

// measured hands what the data path has seen to the mode, and keeps what a Status shows of it.
func (l *Loop) measured(now time.Time, in Measured, out *Output) {
	l.effects(now, l.mode.Handle(now, modes.Measured{Flows: in.Flows, Heard: in.Heard}), out)
}

// Peers are the peers that the mode steers; none in modes that steer none.
func (t *Team) Peers(ctx context.Context) ([]modes.Peer, error) {
	out, err := t.post(ctx, request{in: AskPeers{}})
	return out.Peers, err
}
