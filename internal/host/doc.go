// Package host changes the machine for a team and changes it back: it takes NICs over, follows what others do to them and
// to the adapter, gives them back, keeps the journal from which that can be finished after the process was killed, cuts
// members off from the host's own stack, and reads links for package monitor.
//
// # The way of a takeover
//
//	Check                 read-only; refuses with what, why and fix, and names what of others does not go along
//	Begin                 journal on disk: boot, namespace, the adapter's name   ── from here Restore knows
//	(the TAP is made)
//	RecordAdapter           journal: the adapter's ifindex
//	Record                journal: everything about a member before it is touched
//	CopySettings           the adapter, still down, gets its members' sysctls and IPv6 token
//	(the adapter comes up)
//	RebindConnections      masqueraded connections made anew, so that they are bound to no interface
//	Isolate               ingress of the member dropped behind the packet socket, but for the NIC's own business
//	Adopt | Give          addresses added to the adapter, neighbours and proxies copied, routes moved, what was learned from
//	                      routers learned again, rules copied
//	Strip                 addresses off the member, IPv6 off, LRO off, MTU, link up
//	Attach                a program of the data path ahead of the isolation, or on the adapter's egress; RaiseBacklog and
//	                      LowerBacklog for its sake
//
// # Following
//
// A Follower has one subscription to rtnetlink. It keeps of the events only that something changed (News), and what the
// adapter had when it went down; whoever is woken reads the kernel.
//
//	Look                  reads the adapter, puts back what it lost by going down; the journal forgets what others took away
//	Behind                the same of links that stand on the adapter, which are not put back
//	AdoptArrivals, SyncRules what came to members goes the way of Adopt and Strip, journal first
//	RefreshFromRAs         refreshes addresses that members' kernels had formed
//	RecordRenames, RecordAdapterName, SetMTU, RestoreMAC
//	Settle, JournalLast      before the end, where the adapter is down or gone: the journal knows what it had
//
// # Giving back
//
// Release gives one member back, ReleaseAll all, Finish ends the adapter and the journal; Restore does all of that when the
// team's process is gone. Type back has the steps, over all members each. What the adapter has goes to the NIC that it came
// from, to another where that one has no link or is not there, and waits in the journal where no NIC is there that can have
// it (backhome.go, away.go): RestoreAbsent gives it when the NIC comes. An address is on the adapter before it is taken off the
// member, and on the member before it is taken off the adapter.
//
// # Undo by state
//
// The journal does not list kernel calls. It has each member as it was (Member), what came and went since, and how far the
// takeover went (intent before, done after). Giving back compares the member with its record and changes what
// differs, so it can be repeated, and can be cut off anywhere and started again. Nothing of the host is changed before the
// journal says so, unless it goes with a descriptor or with the adapter.
//
// Addresses, routes, neighbours and rules are kept as the rtnetlink messages that the kernel
// printed (object) and are sent back with only the ifindex changed, so attributes this package never heard of survive.
//
// Nothing is read from /sys/class/net: a mount of /sys may belong to another network namespace.
//
// # Locks
//
// Methods that change the host or read the journal hold Host.mu. AdoptArrivals's allow and Options.Taken run under it and must
// not call those methods; ReleaseAll's still and SetMTU's came run without, for the control loop that they wait for may be
// attaching or detaching a program. A Follower's look comes before Host.mu; its mu is never held together with Host.mu.
//
// # Files
//
//	the kernel   object attribute rtnetlink nfnetlink events probe clock
//	links        nic adapter member link6 sysctl policy readonly feature mtu rxmode wireless adapter_mac
//	their things address connected route routeorder advertised inject neighbour proxy rule belongings
//	journal      record journal journal_open scan whereabouts
//	preflight    check preflight_caps warn suggest remoteroot uppers; bystander and what it asks: firewall (nftread nftrule
//	             xtread ipset) filters xfrm sockets groups mptcp masquerade_check keepers
//	takeover     adopt strip masquerade (conntrack masquerade_guard)
//	hooks        isolate (isolate_program clsact tcx nft) attach hook_owner unheld bpf_error blindfilters backlog
//	following    follow follow_socket follow_look follow_late behind renamed lease refresh6 announce igmp source
//	giving back  release restore back backhome backroute backadvertised backtell away unrecorded
package host
