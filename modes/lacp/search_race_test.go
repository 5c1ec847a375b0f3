// SPDX-License-Identifier: MIT

//go:build race

package lacp

func init() { underRace = true }
