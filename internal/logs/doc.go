// SPDX-License-Identifier: MIT

// Package logs bounds the log of a team's process: Limit rate-limits repeated lines, Keep rotates the file.
package logs
