// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestProcessLines(t *testing.T) {
	began := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		in   api.Supervisor
		want []string
	}{
		{"first", api.Supervisor{Kind: "keeper", WatchdogNS: 2e9, Starts: 1, LastStart: "new"}, []string{
			"process 7, 2.0, under its keeper, watchdog 2s", "started 3s ago"}},
		{"upgrade", api.Supervisor{Kind: "systemd", Starts: 4, LastStart: "warm", After: "handover",
			FromVersion: "1.0"}, []string{"process 7, 2.0, under systemd",
			"started 3s ago: warm start after a restart of 1.0, start 4 of the team"}},
		{"killed", api.Supervisor{Kind: "none", Starts: 2, LastStart: "cold", After: "death", FromVersion: "2.0",
			Reason: "nobody kept the descriptors", Unconfined: "it may write to files"}, []string{
			"process 7, 2.0, unsupervised: if it is killed, the host has no network until it is started again",
			"started 3s ago: cold start after its predecessor died, start 2 of the team (nobody kept the descriptors)",
			"not confined: it may write to files"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &api.Status{PID: 7, Version: "2.0", Started: began, Supervisor: &tt.in}
			if diff := cmp.Diff(tt.want, processLines(s, began.Add(3*time.Second))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
