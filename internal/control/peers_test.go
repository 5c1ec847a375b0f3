// SPDX-License-Identifier: MIT

package control

import (
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
	if want, _ := f.Peers(t.Context()); got.Schema != "nicteam.peers/v1" || len(got.Peers) != 1 ||
		!cmp.Equal(want, got) {
		t.Errorf("peers (-want +got):\n%s", cmp.Diff(want, got))
	}
	f.err = errors.New("plain")
	if _, err := c.Peers(t.Context()); kindOf(t, err) != api.Failed || !strings.Contains(err.Error(), "plain") {
		t.Errorf("plain error arrives as %v", err)
	}
}
