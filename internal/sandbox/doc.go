// SPDX-License-Identifier: MIT

// Package sandbox takes from this process what it does not need any more, for good and in all threads: capabilities,
// system calls (seccomp(2)), the right to write to files (landlock(7)), or root's user ID.
//
// Who finds a fault in the parser of a frame then has a process that cannot run a program, mount, trace, load a module,
// or write to a file that is not the team's. What a kernel does not offer is left out; the caller reports it.
package sandbox
