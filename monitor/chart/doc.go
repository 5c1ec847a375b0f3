// Package chart draws what a team and its NICs carry.
//
// One way leads from history to every picture; each step is a pure function of its arguments, so
// the same data gives the same screen, ticket, SVG and PNG anywhere:
//
//	Data ──window──→ columns ──stack──→ layers ──yscale──→ heights ─┬─→ Grid (braille, block, ASCII)
//	 bins of rates    average+peak       by NIC,            1-2-5    ├─→ SVG
//	                  a column           protocol, total    fit…     └─→ PNG
//
// What comes in stands above the axis, what goes out hangs below it, and one unit of height means
// the same rate on both sides. Average rates are filled, the highest rate inside a column is a
// mark of its own, so a peak survives any zoom. Where nothing is known nothing is drawn and the
// axis is dotted: no data is not the same as no traffic.
//
// A cell says what it shows with a [Role]; colours are the caller's. Without any colour everything
// can still be told: position says the direction and the order of layers, a pattern (or letter)
// the layer, a word the state. Nothing in here reads a clock, a terminal or a file.
package chart
