// SPDX-License-Identifier: MIT

package host

// CheckAttached returns an error if a program of the data path is not on a link any more, though the link is there.
func (h *Host) CheckAttached(indexes ...int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, index := range indexes {
		if err := h.hooks.CheckAttached(index); err != nil {
			if _, gone := h.nicAt(index); gone == nil {
				return err
			}
		}
	}
	return nil
}

// IsolateAgain isolates a member whose isolation another program has ended, and reports whether it did.
func (h *Host) IsolateAgain(index int) (bool, error) {
	h.mu.Lock()
	lost := h.hooks.LostIsolation(index)
	h.mu.Unlock()
	if !lost {
		return false, nil
	}
	return true, h.Isolate(index)
}
