// SPDX-License-Identifier: MIT

// Package api defines the JSON documents of nicteam (docs/json.md), their schemas, and the problems and exit codes of
// the command. Units are base units (bytes, frames, bit/s, ns); names of modes, policies and states are strings.
// Within a version keys are only added.
package api

// The schema names, in the field Schema of each document.
const (
	StatusSchema    = "nicteam.status/v1"
	RatesSchema     = "nicteam.rates/v1"
	EventSchema     = "nicteam.event/v1"
	HistorySchema   = "nicteam.history/v1"
	ExplainSchema   = "nicteam.explain/v1"
	PeersSchema     = "nicteam.peers/v1"
	ListSchema      = "nicteam.list/v1"
	CreatedSchema   = "nicteam.created/v1"
	ResultSchema    = "nicteam.result/v1"
	ApplySchema     = "nicteam.apply/v1"
	ImportSchema    = "nicteam.import/v1"
	ProblemSchema   = "nicteam.problem/v1"
	VersionSchema   = "nicteam.version/v1"
	RestartedSchema = "nicteam.restarted/v1"
)
