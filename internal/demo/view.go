// SPDX-License-Identifier: MIT

package demo

import (
	"bytes"
	"context"
	"io"
	"sync"

	"nicteam/internal/control"
)

// View shows a team on a terminal until the user leaves it.
type View func(ctx context.Context, c *control.Client, team string) error

// startView starts the view and returns the channel that delivers its error. Without a view it returns nil.
func (d *demo) startView(ctx context.Context) <-chan error {
	if d.view == nil {
		return nil
	}
	done := make(chan error, 1)
	d.out.pause()
	go func() {
		err := d.view(ctx, d.client, teamName)
		d.out.resume()
		done <- err
	}()
	return done
}

// pausableWriter keeps what is written while a view has the terminal.
type pausableWriter struct {
	w io.Writer

	mu      sync.Mutex
	paused  bool
	pending bytes.Buffer
}

func (p *pausableWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused {
		return p.pending.Write(b)
	}
	return p.w.Write(b)
}

func (p *pausableWriter) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
}

// resume writes what was kept and ends the pause.
func (p *pausableWriter) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	_, _ = p.pending.WriteTo(p.w)
}
