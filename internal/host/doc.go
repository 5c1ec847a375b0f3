// SPDX-License-Identifier: MIT

// Package host takes NICs over for a team, follows what others change on them and on the adapter, and gives them back.
// It keeps a journal from which a give-back can be completed after the process was killed, and reads links for package
// monitor.
//
// # Takeover
//
//	Check               read-only: refuses with what, why and fix; names what of others will not move along
//	Begin               journal on disk: boot, namespace, adapter's name      ── from here on Restore can undo
//	(the TAP is created)
//	RecordAdapter       journal: the adapter's ifindex
//	RecordMember        journal: a member before it is changed
//	CopySettings        the adapter, still down, gets its members' sysctls and IPv6 token
//	(the adapter comes up)
//	RebindConnections   masqueraded connections are re-created, bound to no interface
//	Isolate             the member's ingress is hidden from the host's stack, behind the packet socket
//	Adopt               addresses are added to the adapter, routes moved, neighbours and rules copied, routes of
//	                    router advertisements learned again; or AssignAddresses
//	Strip               the member loses addresses, IPv6 and LRO, gets its MTU and comes up
//	Attach              a data path's program ahead of the isolation, or on the adapter's egress; RaiseBacklog
//
// # Follow
//
// A Follower has one subscription to rtnetlink. Of an event it only keeps that something changed (Subscription), and
// what the adapter had when it went down. Whoever is woken reads the kernel.
//
//	Sync                                  reads the adapter, restores what it lost by going down, journals removals
//	UpperAddresses                        addresses of links on top of the adapter
//	AdoptArrivals, SyncRules              what came to members moves like in Adopt, journal first
//	RefreshFromRAs                        refreshes addresses that members' kernels had formed
//	KeepFromRAs                           the same for members' network managers, and their routes
//	RecordRenames, RecordAdapterName, SetMTU, RestoreMAC
//	SyncBeforeEnd, JournalLast            the last config of an adapter that is down or gone
//
// # Give-back
//
// Release gives one member back, ReleaseAll all; Finish deletes adapter and journal. Restore does all of that after the
// process is gone. Type giveBack has the steps, each over all members. The adapter's config goes to the NIC that it
// came from, to a stand-in if that NIC has no link or is absent (giveback_target.go), and stays in the journal if no
// NIC can have it (giveback_absent.go, RestoreAbsent). Every address is on the adapter before it leaves the member, and
// on the member before it leaves the adapter.
//
// Giving back compares each member with its record and changes what differs. So it can be repeated, and continued after
// an interruption anywhere. Package journal says what is recorded; package rtnl keeps addresses, routes, neighbours and
// rules as the kernel printed them.
//
// Nothing is read from /sys/class/net: a mount of /sys may belong to another network namespace.
//
// # Locks
//
// Methods that change the host or read the journal hold Host.mu. AdoptArrivals's allow and Options.Taken run under it
// and must not call those methods. ReleaseAll's stopForwarding and SetMTU's changed run without it, because the control
// loop that they wait for may be attaching or detaching a program. A Follower takes syncing before Host.mu, and never
// holds its mu with Host.mu.
//
// # Files
//
//	links        nic probe source multicast announce feature sysctl mtu
//	preflight    preflight, and what may refuse or warn: preflight_*
//	journal      journal_open
//	takeover     takeover_*
//	hooks        hooks backlog
//	follow       follow_*
//	give-back    giveback (ReleaseAll, Restore), giveback_release, giveback_target (where), giveback_* (what)
package host
