package host

import (
	"testing"
)

// takeover does what the daemon does for create.
func takeover(w *world, h *Host) error {
	if err := h.Begin(); err != nil {
		return err
	}
	if err := h.at("make adapter"); err != nil {
		return err
	}
	adapter := w.tap()
	if err := h.AdapterMade(adapter); err != nil {
		return err
	}
	for _, n := range w.nics {
		if _, err := h.Record(n); err != nil {
			return err
		}
	}
	if err := h.Adopt(adapter, w.nics); err != nil {
		return err
	}
	for _, n := range w.nics {
		if err := h.Strip(n, 1400); err != nil {
			return err
		}
		nic, err := h.nic(n)
		if err != nil {
			return err
		}
		if err := h.Isolate(nic.Index); err != nil {
			return err
		}
	}
	return nil
}

func TestTakeoverAndBack(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))

	out, err := h.ReleaseAll(nil)
	must(t, err)
	for _, n := range out.Notes {
		t.Error("note:", n)
	}
	_, err = h.Finish()
	must(t, err)
	compare(t, before, snapshot(t))
}
