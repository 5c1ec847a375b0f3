// SPDX-License-Identifier: MIT

// Package rtnl reads and changes addresses, routes, neighbours and policy rules by rtnetlink, as the messages that the
// kernel itself prints (Object). A message is sent back with only what must differ, such as the ifindex, so attributes
// that this package never heard of survive.
//
//	conn      a connection: dumps, changes, and the points where tests let a process die
//	object    header and attributes of a message; how they stand in a journal
//	address   connected: the route that the kernel makes for an address
//	route     route_change: the request for a route on another link, moves without a gap, order by dependence;
//	          route_advertised: what the kernel learned from router advertisements
//	rule neighbour link prefix
//	events    subscriptions, and the filter that keeps routing daemons' routes from waking us
//
// The kernel's side is net/core/rtnetlink.c, net/ipv4/fib_*.c, net/ipv6/route.c, net/ipv6/addrconf.c and
// net/core/neighbour.c.
package rtnl
