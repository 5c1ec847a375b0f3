// SPDX-License-Identifier: MIT

package ha

import (
	"fmt"
	"os/exec"
)

// Missing returns an error that names the program that the site needs and this machine does not have.
func Missing() error {
	for _, p := range []struct{ program, pkg string }{{"keepalived", "keepalived"}, {"nft", "nftables"},
		{"sysctl", "procps"}} {
		if _, err := exec.LookPath(p.program); err != nil {
			return fmt.Errorf("%w (apt-get install %s)", err, p.pkg)
		}
	}
	return nil
}

// HasConntrackd reports whether connections can be kept through a takeover.
func HasConntrackd() bool { return has("conntrackd") }

// HasHAProxy reports whether haproxy is installed.
func HasHAProxy() bool { return has("haproxy") }

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
