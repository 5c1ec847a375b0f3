// SPDX-License-Identifier: MIT

// Package launch is the process of the caller: what `nicteam create`, list and restore do before and without the team's
// own process, and what both share.
//
//	create    checks everything, starts `nicteam keeper` detached, waits until its child `nicteam run` forwards
//	          (create.go, spawn.go, ready.go)
//	restore   puts the host back from the journal of a team whose process is gone (restore.go)
//	list      teams and NICs of the host, and which team owns which NIC (list.go)
//	unit      systemd in place of a keeper: what it knows of the team's unit (systemd.go), create by it
//	          (unit_create.go), what the unit runs around the process (unit_hooks.go, prepared.go)
//	in place  a process that nobody starts again becomes the next one (in_place.go)
//	check     what add and delete would break (check.go)
//	keeper    finds and ends the keeper of a team (keeper.go), its cgroup (cgroup.go)
//	shared    directories, who may write to them (dirs.go, trust.go), locks of teams and NICs (lock.go, nic_lock.go)
package launch
