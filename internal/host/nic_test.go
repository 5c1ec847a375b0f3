package host

import (
	"os/exec"
	"testing"
)

// TestAdapterBelowOthers dies between the making of the adapter and the note of its index, on a host with a NIC that
// came from elsewhere and brought a high index along: the adapter is recognised all the same.
func TestAdapterBelowOthers(t *testing.T) {
	w := newWorld(t)
	run(t, "ip link del nc; ip link add nc index 54321 type veth peer name pnc")
	h := w.open(nil)
	must(t, h.Begin())
	if index := w.tap(); index > 54321 {
		t.Skipf("this kernel gave the adapter index %d", index)
	}
	h.Close()
	h = w.open(nil)
	out, err := h.Restore()
	must(t, err)
	if out.Adapter != teamName || exec.Command("ip", "link", "show", teamName).Run() == nil {
		t.Errorf("the adapter is left: %+v", out)
	}
}
