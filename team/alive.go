// SPDX-License-Identifier: MIT

package team

import "context"

// Alive returns when the control loop has looked at the data path once more, and called the Loop if that was due, for
// which nobody is woken. It does not return while the loop hangs, unless ctx ends.
func (t *Team) Alive(ctx context.Context) error {
	looked := make(chan struct{})
	if !t.takeTurn(ctx) {
		return ctx.Err()
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
	for _, looked := range t.looked {
		close(looked)
	}
	t.looked = nil
}
