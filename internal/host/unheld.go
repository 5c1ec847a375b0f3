package host

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Unheld looks whether Attach would find somebody else on the ingress hooks of NICs or the egress hook of the adapter, if there
// is one, without changing anything; the error is a *HookHeld then.
func (h *Host) Unheld(names []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		n, err := h.nic(name)
		if err != nil {
			return fmt.Errorf("look at hooks: %w", err)
		}
		if err := h.vacant(n, ebpf.AttachTCXIngress, nil); err != nil {
			return err
		}
	}
	if a, ok := h.adapter(); ok {
		return h.vacant(a, ebpf.AttachTCXEgress, nil)
	}
	return nil
}
