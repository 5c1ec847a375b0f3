// SPDX-License-Identifier: MIT

package tap

import (
	"fmt"
	"strings"

	"nicteam/internal/ifname"
)

// checkName reports why name cannot name an adapter, nil if it can. The kernel takes '%' for a pattern to number, and
// water cuts long names silently.
func checkName(name string) error {
	why := ifname.Invalid(name)
	if strings.Contains(name, "%") {
		why = "it has a '%'"
	}
	if why != "" {
		return fmt.Errorf("name %q: %s", name, why)
	}
	return nil
}
