// SPDX-License-Identifier: MIT

// Package keeper stands behind a team's process where systemd does not run: `nicteam keeper TEAM`, which `nicteam
// create` starts, has one child, `nicteam run TEAM`, and does for it what the unit nicteam@TEAM does elsewhere.
//
//	holds      the descriptors that the child stores (internal/supervisor), so that adapter and programs outlive it
//	starts     the next process at once when one died; the child exits with 0 if it ended on purpose (the keeper ends,
//	           too) and with HandOver to be started anew, from the program that is then at the path of this one
//	kills      a child that does not get ready in time, or whose watchdog is silent: a stopped process included
//	gives back after Deaths deaths within Window, by `nicteam restore TEAM`, and tries again every Retry
//
// It lives in a session and a cgroup of its own. It reads nothing from outside but its child's messages. When it dies
// itself, the child goes on: Supervisor.Lost.
//
//	keeper.go    the life of a keeper: Run      child.go     one child: start, watch, kill
//	message.go   messages of the child          giveback.go  the end without a process
//	renew.go     a new version of the keeper
package keeper
