// SPDX-License-Identifier: MIT

// Package export writes the traffic of a team as a picture, a table, a document or a text for a ticket.
//
//	nicteam.history/v1 ─┬──────────→ json   the document as it is
//	  + nicteam.status/v1├──────────→ csv    a line per column of time and series
//	                     ├──chart──→ svg, png
//	                     └──────────→ md     sums, averages and peaks, and what happened
//
// The package asks no team and reads no clock. Time without data is a gap in every format, never time without traffic.
package export
