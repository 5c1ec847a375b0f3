// SPDX-License-Identifier: MIT

package fastpath

// Alive is relay.Alive. Programs need no goroutine.
func (p *Path) Alive() error { return p.relay.Alive() }
