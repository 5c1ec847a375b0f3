// SPDX-License-Identifier: MIT

// Package importer makes a team's configuration of what other programs configure: bonds and teamd's teams.
//
//	file, directory ─one reader a format─→ Bond: name, members, options as they stand, each with its place
//	running link ─sysfs, teamdctl────────→
//	Bond ─the tables of options─→ settings.Config and notes
//
// A reader knows the syntax of its format and its names of bonding's options, and nothing of nicteam. The tables
// (Bonding, Teamd, Network) decide what becomes of each option: a setting, or a note that says what nicteam does
// instead. Nothing is dropped without a note but what nicteam does anyway.
package importer
