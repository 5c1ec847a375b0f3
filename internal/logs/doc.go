// SPDX-License-Identifier: MIT

// Package logs bounds what a team's process leaves in its log: Limit sums up lines that repeat, Keep keeps the file
// small.
package logs
