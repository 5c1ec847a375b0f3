// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"
)

// lookedLately is how long ago the last look at the data path may be of a control loop that works: the longest time
// between two, and a little.
const lookedLately = idleCountersInterval + idleCountersInterval/4

// Alive returns when the control loop has looked at the data path lately, else once it has, and has called the Loop if
// that was due. Nobody is woken for it. It does not return while the loop hangs, unless ctx ends.
func (t *Team) Alive(ctx context.Context) error {
	looked := make(chan struct{})
	if !t.takeTurn(ctx) {
		return ctx.Err()
	}
	if !t.over && time.Since(t.lookedAt) < lookedLately {
		t.giveTurn()
		return nil
	}
	t.looked = append(t.looked, looked)
	t.giveTurn()
	select {
	case <-looked:
		return nil
	case <-t.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tellLooked tells those who wait in Alive.
func (t *Team) tellLooked() {
	t.lookedAt = time.Now()
	for _, looked := range t.looked {
		close(looked)
	}
	t.looked = nil
}
