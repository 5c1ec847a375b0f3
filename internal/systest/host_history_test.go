// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab/labtest"
)

// received returns the received bytes in a history.
func received(d *api.History) (bytes uint64) {
	for _, n := range d.RX.Bytes {
		bytes += n
	}
	return bytes
}

// TestPastIsKept stops a team and starts it again: it has its history and events. Delete removes them.
func TestPastIsKept(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 2, Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	c := w.startEcho()
	ask := func() *api.History {
		t.Helper()
		client := control.NewClient(w.box.Path("/run/nicteam"), teamName)
		defer client.Close()
		d, err := client.History(t.Context(), control.HistoryOptions{Last: time.Hour})
		labtest.Must(t, err)
		return d
	}
	c.check("before")
	var before *api.History
	labtest.Eventually(t, "something is known", func() bool { before = ask(); return received(before) > 0 })
	w.kill(w.teamProcess(), unix.SIGTERM)
	for _, end := range []string{".history", ".events"} {
		st, err := os.Stat(w.box.Path("/var/lib/nicteam/" + teamName + end))
		labtest.Must(t, err)
		if st.Mode().Perm() != 0o640 {
			t.Errorf("%s has mode %v", end, st.Mode())
		}
	}
	s := w.supervise()
	after := ask()
	if received(after) < received(before) || len(after.Events) <= len(before.Events) {
		t.Errorf("%d bytes and %d events were known, then %d bytes and %d events", received(before),
			len(before.Events), received(after), len(after.Events))
	}
	w.nicteam("delete", teamName)
	s.ended(t, "delete")
	w.checkNoFiles("after delete")
}
