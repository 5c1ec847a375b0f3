// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"strings"
	"testing"

	"nicteam/internal/api"
)

// TestPeersOf: a team that steers nobody says why, and its list is empty rather than null.
func TestPeersOf(t *testing.T) {
	for _, tt := range []struct {
		mode             string
		balance, receive bool
		has              string
	}{
		{"elb", true, true, ""},
		{"elb", false, true, "balance is off"},
		{"elb", true, false, "receive_balance is off"},
		{"xor", true, true, "mode xor"},
		{"xor", true, false, "mode xor"},
	} {
		st := &api.Status{Team: "team0", Mode: tt.mode, Balance: tt.balance,
			Settings: api.Settings{ReceiveBalance: tt.receive}}
		doc := peersOf(st, nil, nil)
		if (doc.Reason == "") != (tt.has == "") || !strings.Contains(doc.Reason, tt.has) {
			t.Errorf("%+v: reason %q", tt, doc.Reason)
		}
		b, err := json.Marshal(doc)
		if err != nil || !strings.Contains(string(b), `"peers":[]`) {
			t.Errorf("%s, %v", b, err)
		}
	}
}
