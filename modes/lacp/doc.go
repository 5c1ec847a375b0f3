// Package lacp is the Link Aggregation Control Protocol of IEEE 802.1AX-2014, clause 6.4, and the
// Marker protocol of its clause 6.5. It is pure: PDUs and time in, PDUs and state out.
package lacp
