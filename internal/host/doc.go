// Package host changes the machine for a team and changes it back: it takes NICs over, gives them
// back, keeps the journal from which both can be finished after the process was killed, cuts members off
// from the host's own stack, and reads links for package monitor.
//
// # The way of a takeover
//
//	Check                 read-only; refuses with what, why and fix
//	Begin                 journal on disk: boot, namespace, the adapter's name   ── from here Restore knows
//	(the TAP is made)
//	AdapterMade           journal: the adapter's ifindex
//	Record                journal: everything about a member before it is touched
//	CarryPolicy           the adapter, still down, gets its members' sysctls and IPv6 token
//	CarryConnections      masqueraded connections made anew, so that they are bound to no interface
//	Adopt | Give          addresses added to the adapter, routes moved, what was learned from routers learned again, neighbours,
//	                      proxies and rules copied
//	Strip                 addresses off the member, IPv6 off, LRO off, MTU, link up
//	Isolate               ingress of the member dropped behind the packet socket
//	Attach                a program of the data path ahead of that, or on the adapter's egress; RaiseBacklog and LowerBacklog for its sake
//
// and back: Release for one member, ReleaseAll for all, Finish for the adapter and the journal, Restore for
// everything when the team's process is gone. An address is on the adapter before it is taken off the
// member, and on the member before it is taken off the adapter.
//
// # Undo by state
//
// The journal does not list kernel calls. It has each member as it was (Member) and how far the
// takeover went (intent before, done after). Giving back compares the member with its record and changes what
// differs, so it can be repeated, and can be cut off anywhere and started again.
//
// Addresses, routes, neighbours and rules are kept as the rtnetlink messages that the kernel
// printed (object) and are sent back with only the ifindex changed, so attributes this package never heard of survive.
//
// Nothing is read from /sys/class/net: a mount of /sys may belong to another network namespace.
package host
