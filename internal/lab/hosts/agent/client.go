// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Request is one line of JSON from the driver to the agent: run a command, or write a part of a file.
type Request struct {
	ID      uint64 `json:"id"`
	Command string `json:"command,omitempty"` // for sh -c
	Seconds int    `json:"seconds,omitempty"` // the command is killed after them

	Path   string `json:"path,omitempty"`
	Data   []byte `json:"data,omitempty"`
	Mode   uint32 `json:"mode,omitempty"`
	Append bool   `json:"append,omitempty"`
}

// A Response is one line of JSON from the agent, in any order.
type Response struct {
	ID    uint64 `json:"id"`
	Out   string `json:"out,omitempty"` // standard output and standard error
	Code  int    `json:"code,omitempty"`
	Error string `json:"error,omitempty"` // the command did not run, or did not end in time
}

// ErrGone: the virtual machine ended, or its agent's connection.
var ErrGone = errors.New("the agent is gone")

// A Client speaks with the agent of one boot. Its methods may be called from any goroutine.
type Client struct {
	mu      sync.Mutex
	enc     *json.Encoder
	next    uint64
	waiting map[uint64]chan Response
	gone    chan struct{}
}

// NewClient reads responses from rw until that ends.
func NewClient(rw io.ReadWriter) *Client {
	c := &Client{enc: json.NewEncoder(rw), waiting: map[uint64]chan Response{}, gone: make(chan struct{})}
	go c.read(rw)
	return c
}

func (c *Client) read(r io.Reader) {
	defer close(c.gone)
	dec := json.NewDecoder(r)
	for {
		var got Response
		if dec.Decode(&got) != nil {
			return
		}
		c.mu.Lock()
		answer := c.waiting[got.ID]
		delete(c.waiting, got.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- got
		}
	}
}

// Do sends a request and waits for its response.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	answer := make(chan Response, 1)
	c.mu.Lock()
	c.next++
	r.ID = c.next
	c.waiting[r.ID] = answer
	err := c.enc.Encode(r)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, r.ID)
		c.mu.Unlock()
	}()
	if err != nil {
		return Response{}, fmt.Errorf("%w: %w", ErrGone, err)
	}
	select {
	case got := <-answer:
		if got.Error != "" {
			return got, errors.New(got.Error)
		}
		return got, nil
	case <-c.gone:
		return Response{}, ErrGone
	case <-ctx.Done():
		return Response{}, fmt.Errorf("agent: no answer: %w", ctx.Err())
	}
}

// Run runs a command in the guest. The agent kills it after the limit.
func (c *Client) Run(ctx context.Context, command string, limit time.Duration) (out string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit+20*time.Second)
	defer cancel()
	got, err := c.Do(ctx, Request{Command: command, Seconds: int(limit / time.Second)})
	return got.Out, got.Code, err
}

// part is the size of a part of a file. A virtio port passes 32 KiB at a time.
const part = 192 << 10

// Put writes a file in the guest.
func (c *Client) Put(ctx context.Context, path string, data []byte, mode uint32) error {
	for first := true; first || len(data) > 0; first = false {
		n := min(part, len(data))
		r := Request{Path: path, Data: data[:n], Mode: mode, Append: !first}
		if _, err := c.Do(ctx, r); err != nil {
			return fmt.Errorf("write %s in the guest: %w", path, err)
		}
		data = data[n:]
	}
	return nil
}
