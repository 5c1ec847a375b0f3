// SPDX-License-Identifier: MIT

// Package control is the API of a running team: HTTP/1.1 with JSON on a unix socket, for the
// command line and for programs. The server is the team's process, the client everybody else.
//
//	GET    /v1/status                  nicteam.status/v1
//	GET    /v1/rates?interval=1s       nicteam.rates/v1, one document a line, until the client goes
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
// The file system decides who may open the socket (0660); the peer's credentials decide who may
// change things: uid 0 and the uid of the team's process. Everybody else who gets in reads.
// Nothing that a client does or leaves undone delays the team: the number of connections, the size
// of a body, the time to send it and the time to take an answer are all bounded, and a stream
// that is not read is cut off.
package control
