package daemon

import (
	"errors"
	"io"

	"github.com/cilium/ebpf"

	"nicteam/internal/host"
)

// hooks is package host as the fast path sees it: nothing is attached to a NIC that is gone, and nothing has to be, for no
// frame comes by it. When it is back it joins anew.
type hooks struct{ host *host.Host }

// Attach attaches a program to a hook of a member or of the adapter.
func (h hooks) Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	c, err := h.host.Attach(index, hook, p)
	if errors.Is(err, host.ErrNoNIC) {
		return io.NopCloser(nil), nil
	}
	return c, err
}
