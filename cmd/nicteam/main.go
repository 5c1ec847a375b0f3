// SPDX-License-Identifier: MIT

// Command nicteam makes several NICs of this host work as one.
//
// Here is the command tree and nothing else: a file a verb, which reads its arguments, calls
// config, daemon or control, and shows what comes back. Whatever goes wrong is shown in three lines
// and ends in the exit code of its kind; see problem.go.
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// version is that of the release that is being made; CHANGELOG.md says what each brought.
const version = "0.2.0"

// build is what git describe said; the linker sets it.
var build string

func main() {
	unix.Umask(unix.Umask(0) &^ 0o700) // what it makes it can use itself
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr, os.Environ()))
}
