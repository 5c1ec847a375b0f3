package demo

import (
	"bytes"
	"context"
	"io"
	"sync"

	"nicteam/internal/control"
)

// View shows a team on a terminal until the user has seen enough.
type View func(ctx context.Context, c *control.Client, team string) error

// story is what the demo tells. While a view has the terminal it waits.
type story struct {
	mu   sync.Mutex
	w    io.Writer
	held bool
	text bytes.Buffer
}

func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		return s.text.Write(b)
	}
	return s.w.Write(b)
}

// hold keeps what is told from the terminal.
func (s *story) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// goOn tells what was kept, and what comes as it comes.
func (s *story) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	_, _ = s.text.WriteTo(s.w)
}

// open shows the view, if there is one, and returns what tells how it ended.
func (d *demo) open(ctx context.Context) <-chan error {
	if d.view == nil {
		return nil
	}
	done := make(chan error, 1)
	d.told.hold()
	go func() {
		err := d.view(ctx, d.client, demoTeam)
		d.told.goOn()
		done <- err
	}()
	return done
}
