package control

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestPeers(t *testing.T) {
	f := &fake{}
	c := NewClient(serve(t, f, Options{}), "team0")
	defer c.Close()
	got, err := c.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := f.Peers(t.Context()); got.Schema != "nicteam.peers/v1" || len(got.Peers) != 1 || !cmp.Equal(want, got) {
		t.Errorf("peers (-want +got):\n%s", cmp.Diff(want, got))
	}
	f.err = errors.New("plain")
	if _, err := c.Peers(t.Context()); kindOf(t, err) != api.Failed || !strings.Contains(err.Error(), "plain") {
		t.Errorf("plain error arrives as %v", err)
	}
}

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
		st := &api.Status{Team: "team0", Mode: tt.mode, Balance: tt.balance, Settings: api.Settings{ReceiveBalance: tt.receive}}
		doc := PeersOf(st, nil, nil)
		if (doc.Reason == "") != (tt.has == "") || !strings.Contains(doc.Reason, tt.has) {
			t.Errorf("%+v: reason %q", tt, doc.Reason)
		}
		b, err := json.Marshal(doc)
		if err != nil || !strings.Contains(string(b), `"peers":[]`) {
			t.Errorf("%s, %v", b, err)
		}
	}
}
