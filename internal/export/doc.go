// Package export saves what a team carried: as a picture, a table, a document or a text for a ticket.
//
//	nicteam.history/v1 ─┬──────────→ json   the document as it is
//	  + nicteam.status/v1├──────────→ csv    a line a column of time and series
//	                     ├──chart──→ svg, png
//	                     └──────────→ md     sums, averages and peaks, and what happened
//
// Nothing in here asks a team or reads a clock. Time that nothing is known of is a gap everywhere, not a
// time without traffic.
package export
