// SPDX-License-Identifier: MIT

// Package chart draws the traffic of a team and its NICs.
//
// Every output is made in the same steps. Each is a pure function of its arguments, so the same data gives the same
// screen, ticket, SVG and PNG anywhere:
//
//	Data ──window──→ columns ──stack──→ layers ──yscale──→ heights ─┬─→ Grid (braille, block, ASCII)
//	 bins of rates    average+peak       by NIC,            1-2-5    ├─→ SVG
//	                  per column         protocol, total    fit…     └─→ PNG
//
// Receive stands above the axis and transmit hangs below it; a unit of height is the same rate on both sides. Average
// rates are filled. The highest rate within a column is a mark of its own, so a peak survives any zoom. Where nothing
// is known nothing is drawn and the axis is dotted: no data is not the same as no traffic.
//
// A cell says what it shows with a [Role]; the caller chooses the colours. A chart is complete without any: position
// shows the direction and the order of layers, a pattern or letter the layer, a word the state. The package reads no
// clock, no terminal and no file.
package chart
