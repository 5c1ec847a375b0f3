// SPDX-License-Identifier: MIT

//go:build race

package fastpath

func init() { underRace = true }
