// SPDX-License-Identifier: MIT

// Package lacp is the Link Aggregation Control Protocol of IEEE 802.1AX-2014, clause 6.4, and the Marker protocol of
// its clause 6.5. It is pure: PDUs and time in, PDUs and state out. A System is one end with all its ports. Clauses
// named below are of that standard.
//
// A frame's way through it:
//
//	Receive → subtype ┬ LACPDU → limit → recordPDU (Receive machine) → converge ┬ selection ⇄ runMux, until stable
//	                  └ marker → limit → receiveMarker (answer, or Flushed)     ├ monitor (churn)
//	                                                                            └ transmit
//
// Configure and Tick change ports in other ways, and end in converge as well.
//
// # Receive machine (6.4.12): receive.go
//
//	INITIALIZE ──▶ PORT_DISABLED ◀── carrier lost, in any state
//	                 │         │
//	             up, │         │ up,
//	     full duplex ▼         ▼ half duplex
//	 ┌───────────▶ EXPIRED   LACP_DISABLED
//	 │              │    │
//	 │ silent, 3 s  │    │ 3 s
//	 │ or 90 s  PDU │    │
//	 │              ▼    ▼
//	 └────────── CURRENT ◀── DEFAULTED
//	              ▲   │  PDU
//	              └───┘ PDU
//
// In EXPIRED the partner counts as not in sync and as asking for a PDU a second; in DEFAULTED it is an assumed partner
// that asks for the same. A PDU of our own system is a loop; this machine ignores it.
//
// # Periodic transmission (6.4.13): periodic.go
//
//	NO_PERIODIC ◀──▶ FAST ◀──▶ SLOW
//
// NO_PERIODIC if both sides are passive, or the port is disabled; else by the partner's Timeout. Beyond the standard
// the rate is also fast for some seconds after a change that the partner has not confirmed.
//
// # Selection Logic (6.4.14): selection.go
//
// Ports with the same own key, partner system and partner key have the same Aggregator. One Aggregator is active, by
// ad_select; ports of the others are STANDBY. So are ports that expired, that leave, and that the configuration says.
//
//	      the first, or the active one is lost:
//	      what works at once, else the best
//	none ──────────────────────────────────────▶ active ◀──────────────────────┐
//	                                             │  ▲ │                         │ the other one
//	               the partner is in sync only   └──┘ │ another one is better   │ distributes
//	               on another one: that, after        │ (not stable)            │
//	               patience                           ▼                         │
//	                                             active, and the other one coming: in sync as well
//
// # Mux machine with independent control (6.4.15): mux.go
//
//	DETACHED ──▶ WAITING ──────▶ ATTACHED ────────▶ COLLECTING ────────▶ DISTRIBUTING
//	 │  has an      2 s, all that   │  ▲  SELECTED,     │  ▲   partner        │
//	 │  Aggregator  wait for it     │  │  partner in    │  │   collects       │
//	 │              together        │  │  sync          │  │                  │
//	 │                              │  └────────────────┘  └──────────────────┘
//	 └◀── UNSELECTED, from anywhere ┘   not so any more      not so any more
//
// Ports show Synchronization from ATTACHED on, but only SELECTED ones: a standby port is attached without showing it,
// and has nothing to wait for when it is needed. In the standard it would be DETACHED.
//
// # Transmit machine (6.4.16): transmit.go
//
// A PDU is due when the last one is no longer true, when the partner shows wrong information about us (update_NTT), and
// when periodic_timer has expired. At most three are sent in any second.
//
// # Churn detection (6.4.17): churn.go, one machine for each side
//
//	CHURN_MONITOR ── 60 s ──▶ CHURN
//	     │  ▲                   │
//	sync │  │ not in sync       │ sync
//	     ▼  │                   │
//	    NO_CHURN ◀──────────────┘
//
// # Beyond the standard
//
// Another actor replaces the partner of a working port only when that is silent though asked (rival.go). A port is used
// only after two PDUs of its partner (mux.go). A port that leaves says so in a last PDU (transmit.go, farewell). A
// process resumes the state of the one before (memory.go). Why and Hints explain in words what is wrong (hint.go).
package lacp
