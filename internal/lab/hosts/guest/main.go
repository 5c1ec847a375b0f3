// SPDX-License-Identifier: MIT

// Command guest runs in the machines of make test-hosts: first as process 1 of the initramfs, then as the agent.
package main

import (
	"fmt"
	"os"
)

func main() {
	if os.Getpid() == 1 {
		fmt.Fprintf(os.Stderr, "initramfs: %v\n", initramfs())
		select {}
	}
	if err := runAgent(); err != nil {
		fmt.Fprintf(os.Stderr, "agent: %v\n", err)
		os.Exit(1)
	}
}
