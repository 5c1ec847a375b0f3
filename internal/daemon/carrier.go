// SPDX-License-Identifier: MIT

package daemon

import (
	"log/slog"

	"nicteam/internal/tap"
	"nicteam/team"
)

// carrier is the adapter for the control loop. When its carrier comes on, the kernel asks again for the neighbours that
// it could not reach; when it goes off, programs are told at once.
type carrier struct {
	*tap.Adapter
	log *slog.Logger
}

var _ team.Adapter = carrier{}

// SetCarrier sets the carrier.
func (c carrier) SetCarrier(up bool) error {
	err := c.Adapter.SetCarrier(up)
	if err == nil && !up {
		if err := c.ReportLoss(); err != nil {
			c.log.Debug("programs hear later of the lost carrier", "err", err)
		}
	}
	if err == nil && up {
		if err := c.ResolveAgain(); err != nil {
			c.log.Debug("neighbours not asked for again", "err", err)
		}
	}
	return err
}
