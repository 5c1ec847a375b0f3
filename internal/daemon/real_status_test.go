package daemon_test

import (
	"testing"

	"nicteam/internal/lab/labtest"
)

func TestCreateMakesATeam(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.create(nics(2), "--mode", "active-backup")
	s := w.status()
	if s.State != "up" || s.Active != "eth1" || len(s.Members) != 2 {
		t.Errorf("status %+v", s)
	}
	labtest.Must(t, w.wires["eth1"].Cut())
	w.awaitMember("eth1", "down")
}
