// SPDX-License-Identifier: MIT

package team

import "context"

// Alive returns when the control loop has handled an input. It does not return while the loop hangs, unless ctx ends.
func (t *Team) Alive(ctx context.Context) error {
	_, err := t.post(ctx, request{in: Idle{}})
	return err
}
