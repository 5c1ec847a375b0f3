// SPDX-License-Identifier: MIT

// Package ha makes the site of docs/ha.md out of namespaces: two directors that share an address by VRRP, in front of
// two servers, each with a team of two NICs on two switches. It starts keepalived, conntrackd and haproxy from Debian's
// packages with the files of testdata/ha, sends traffic through the site, lets parts of it fail, and measures.
//
//	                     client 10.0.0.100
//	                        │
//	                      core
//	                     /    \
//	             switch a      switch b
//	             │ │ │ │        │ │ │ │
//	             1 1 1 1        2 2 2 2         eth1 and eth2 of
//	vs1          10.0.0.3   192.168.0.3         the director: 10.0.0.2 and 192.168.0.1
//	vsbak        10.0.0.4   192.168.0.4         stands by
//	real1                   192.168.0.11        server, its gateway is 192.168.0.1
//	real2                   192.168.0.12        the same
//
// In 802.3ad both NICs of a server are in a group of one switch, Open vSwitch.
//
//	Site       the hosts, what runs on them, what can fail
//	Requests   new HTTP connections at an even rate
//	Pulses     numbered datagrams in several flows: the longest gap, what was lost or doubled
//	Session    an idle connection
//	Download   a file with its SHA-256
//	Holders    who has which address when
//	Step       one failure and what must hold
package ha
