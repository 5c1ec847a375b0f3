// SPDX-License-Identifier: MIT

package main

import (
	"os"

	"nicteam/internal/launch"
)

// changesHostItself refuses a user who may not change the network, before anything of the host is looked at: what he
// cannot see is not to be told as not there. Verbs that ask the team's process do without: it refuses them itself.
func changesHostItself(what string) error {
	if os.Geteuid() == 0 { // if root lacks something, as in a container, the step that needs it says so
		return nil
	}
	return launch.MayChangeHost(what)
}
