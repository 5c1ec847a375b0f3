// SPDX-License-Identifier: MIT

// Package config makes a validated settings.Config from a file, the environment and flags. Flags win, then NICTEAM_
// variables, then the file, then defaults; all name the same settings.
//
// A file passes four steps:
//
//	bytes ─readYAML, readTOML→ tree of nodes with lines ─check→ keys and types are right
//	viper ─config→ settings.Config ─settings.Validate→ values are allowed
//
// check finds what viper would let pass: unknown keys without a value, keys given twice in different case, a second
// YAML document, text for a number. A fresh viper then merges file, variables and flags. Every fault names its place
// (file and line, variable or flag), its key and what is allowed.
//
// No file is watched, and no viper outlives a load.
package config
