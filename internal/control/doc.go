// SPDX-License-Identifier: MIT

// Package control is the API of a running team: HTTP/1.1 with JSON on a unix socket. The team's process is the server;
// the command line and other programs are clients.
//
//	GET    /v1/status                  nicteam.status/v1
//	GET    /v1/rates?interval=1s       nicteam.rates/v1, one document a line, until the client disconnects
//	GET    /v1/history?last=1h         nicteam.history/v1
//	GET    /v1/events?follow=1         nicteam.event/v1, one document a line
//	GET    /v1/explain?flow=…          which member carries a flow, and why
//	GET    /v1/peers                   nicteam.peers/v1
//	POST   /v1/members                 {"names":["eth2"]}
//	DELETE /v1/members/NIC?force=1
//	PATCH  /v1/settings                {"hash":"layer2"}
//	DELETE /v1/team
//	GET    /metrics                    Prometheus text
//
// The socket's mode (0660) decides who may connect. The peer's credentials decide who may change things: uid 0 and the
// uid of the team's process. All others only read.
//
// No client can delay the team: the number of connections, the size of a body, the time to send it and the time to
// read an answer are bounded. A stream that is not read is closed.
package control
