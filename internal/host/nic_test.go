package host

import (
	"os/exec"
	"testing"
)

// TestAdapterBelowOthers dies between the creation of the adapter and its record, on a host with a NIC of a higher
// ifindex from another namespace: the adapter is recognised.
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
