// SPDX-License-Identifier: MIT

// Command nicteam makes several NICs of this host work as one.
//
// This package is the command tree, one file per verb. A verb reads its arguments, calls config, launch, daemon or
// control, and prints the result. An error is printed in three lines and sets the exit code (problem.go).
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// version is the release under development; CHANGELOG.md describes each release.
const version = "0.2.0"

// build is the output of git describe; the linker sets it.
var build string

func main() {
	unix.Umask(unix.Umask(0) &^ 0o700) // the owner can always use the files made here
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr, os.Environ()))
}
