// SPDX-License-Identifier: MIT

package control

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"nicteam/internal/ssh"
)

func TestChangeOptions(t *testing.T) {
	session, err := ssh.Parse("10.9.0.2:40000-10.9.0.1:22")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []ChangeOptions{{}, {Accept: true}, {Force: true, Confirm: MinConfirm}, {DryRun: true},
		{Accept: true, Force: true, Confirm: MaxConfirm, Session: session}} {
		q, err := url.ParseQuery(strings.TrimPrefix(o.query(nil), "?"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseChangeOptions(q); err != nil || got != o {
			t.Errorf("%+v became %q and then %+v, %v", o, o.query(nil), got, err)
		}
	}
	for _, bad := range []string{"accept=maybe", "force=2", "dry_run=yes", "confirm=1", "confirm=999ms", "confirm=-1s",
		"confirm=25h", "confirm=soon", "session=10.9.0.2"} {
		q, err := url.ParseQuery(bad)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := parseChangeOptions(q); err == nil {
			t.Errorf("%s is accepted as %+v", bad, o)
		}
	}
}

func TestParseConfirm(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "0s": 0, "1s": time.Second, "24h": MaxConfirm,
		"1m30s": 90 * time.Second} {
		if d, err := ParseConfirm(text); err != nil || d != want {
			t.Errorf("ParseConfirm(%q) = %v, %v, want %v", text, d, err, want)
		}
	}
}
