package host

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Unheld looks whether Attach would find somebody else on the ingress hooks of NICs, without changing anything; the error is
// a *HookHeld then.
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
	return nil
}
