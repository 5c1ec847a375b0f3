// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"os/exec"
	"strings"

	"nicteam/internal/api"
)

// SystemdRestart restarts the unit of a team.
func SystemdRestart(ctx context.Context, name string) error {
	SetSafePath()
	unit := "nicteam@" + name + ".service"
	out, err := exec.CommandContext(ctx, "systemctl", "restart", unit).CombinedOutput()
	if err == nil {
		return nil
	}
	why := strings.TrimSpace(string(out))
	if why == "" {
		why = err.Error()
	}
	return &api.Problem{Kind: api.Failed, What: "restart " + unit, Why: why,
		Fix: "systemctl status " + unit + "; journalctl -u " + unit, Err: err}
}
