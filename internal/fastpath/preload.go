// SPDX-License-Identifier: MIT

package fastpath

// preloaded is what Preload has loaded.
type preloaded struct {
	done   chan struct{} // closed when the others are set
	kernel *kernel
	err    error
}

// Preload begins to load the programs for the first Engage, and returns: a start has something else to do while the
// kernel verifies them.
func (p *Path) Preload() {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.closed || p.preloaded != nil || p.Engaged() {
		return
	}
	ahead := &preloaded{done: make(chan struct{})}
	p.preloaded = ahead
	go func() {
		defer close(ahead.done)
		ahead.kernel, ahead.err = load()
	}()
}

// load returns what Preload has loaded, once, or loads the programs. The caller holds changing.
func (p *Path) load() (*kernel, error) {
	ahead := p.preloaded
	if ahead == nil {
		return load()
	}
	p.preloaded = nil
	<-ahead.done
	return ahead.kernel, ahead.err
}

// unload drops what Preload has loaded and no Engage has used. The caller holds changing.
func (p *Path) unload() error {
	if p.preloaded == nil {
		return nil
	}
	k, err := p.load()
	if err != nil {
		return nil // nothing was loaded
	}
	return k.close()
}
