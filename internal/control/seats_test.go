// SPDX-License-Identifier: MIT

package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nicteam/internal/api"
)

// raw sends a request on a connection of its own, and returns the first bytes of the answer.
func raw(t *testing.T, dir, request string) (net.Conn, string) {
	t.Helper()
	return rawText(t, dir, request+" HTTP/1.1\r\nHost: x\r\n\r\n")
}

// rawText is raw for what is sent as it is.
func rawText(t *testing.T, dir, text string) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, "team0.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	return c, string(b[:n])
}

// TestWatchersLeaveRoom: whoever watches, and however many, questions and changes are answered, and the watcher too
// many is told why he is refused.
func TestWatchersLeaveRoom(t *testing.T) {
	for _, path := range []string{"/v1/events?follow=1", "/v1/rates?interval=1h"} {
		t.Run(path, func(t *testing.T) {
			f := &fake{}
			dir := serve(t, f, Options{Writers: 8})
			full := 0
			for range 12 {
				_, got := raw(t, dir, "GET "+path)
				switch {
				case strings.HasPrefix(got, "HTTP/1.1 200"):
				case strings.HasPrefix(got, "HTTP/1.1 503"):
					full++
					if !strings.Contains(got, "6 streams are open") || !strings.Contains(got, `"code":8`) {
						t.Errorf("refused with %s", got)
					}
				default:
					t.Errorf("answer %q", got)
				}
			}
			if full != 6 {
				t.Errorf("%d of 12 are refused, want 6", full)
			}
			c := NewClient(dir, "team0")
			defer c.Close()
			if _, err := c.Status(t.Context()); err != nil {
				t.Errorf("status: %v", err)
			}
			if _, err := c.Set(t.Context(), map[string]string{"hash": "layer2"}, ChangeOptions{}); err != nil {
				t.Errorf("set: %v", err)
			}
			if _, err := c.Delete(t.Context(), ChangeOptions{}); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
}

// TestRefusedTakeNoSeat: who was refused and does not let go (it has announced a body that it does not send) keeps
// nobody else from an answer.
func TestRefusedTakeNoSeat(t *testing.T) {
	dir := serve(t, &fake{}, Options{Writers: 8, readTime: time.Minute})
	for i := range 14 {
		want, body := "HTTP/1.1 200", ""
		if i >= 6 {
			want, body = "HTTP/1.1 503", "Content-Length: 9\r\n"
		}
		_, got := rawText(t, dir, "GET /v1/rates?interval=1h HTTP/1.1\r\nHost: x\r\n"+body+"\r\n")
		if !strings.HasPrefix(got, want) || i >= 6 && !strings.Contains(got, "6 streams are open") {
			t.Fatalf("watcher %d: %q, want %s", i, got, want)
		}
	}
	c := NewClient(dir, "team0")
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
}

// TestSeatIsGivenBack: a watcher that goes makes room for another.
func TestSeatIsGivenBack(t *testing.T) {
	dir := serve(t, &fake{}, Options{Writers: 4})
	for range 20 {
		c, got := raw(t, dir, "GET /v1/rates?interval=100ms")
		if !strings.HasPrefix(got, "HTTP/1.1 200") {
			// The server notices at its next write.
			waitFor(t, func() bool {
				_, got = raw(t, dir, "GET /v1/rates?interval=100ms")
				return strings.HasPrefix(got, "HTTP/1.1 200")
			})
		}
		_ = c.Close()
	}
}

// TestSeatForChanges: with every place taken by connections that ask slowly or nothing, a change is made at once and a
// question is refused with the reason.
func TestSeatForChanges(t *testing.T) {
	f := &fake{}
	dir := serve(t, f, Options{Writers: 4, readTime: time.Minute, idleTime: time.Minute})
	for range 4 {
		c, err := net.Dial("unix", filepath.Join(dir, "team0.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	c := NewClient(dir, "team0")
	defer c.Close()
	_, err := c.Status(t.Context())
	if kindOf(t, err) != api.NoAnswer || !strings.Contains(err.Error(), "4 connections are open") {
		t.Errorf("status: %v", err)
	}
	for i := range 3 {
		if _, err := c.Add(t.Context(), []string{fmt.Sprint("eth", i)}, ChangeOptions{}); err != nil {
			t.Errorf("add: %v", err)
		}
	}
	if got := f.called(); len(got) != 3 {
		t.Errorf("calls %q", got)
	}
}

// TestNoSeatAtAll: a change waits for a place where even those that are kept are taken, and who finds none is told why.
func TestNoSeatAtAll(t *testing.T) {
	f := &fake{}
	dir := serve(t, f, Options{Writers: 4, readTime: 700 * time.Millisecond})
	for range 12 {
		c, err := net.Dial("unix", filepath.Join(dir, "team0.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	c := NewClient(dir, "team0")
	defer c.Close()
	if _, err := c.Add(t.Context(), []string{"eth1"}, ChangeOptions{}); err != nil {
		t.Errorf("add: %v", err)
	}
	if got := f.called(); len(got) != 1 {
		t.Errorf("calls %q", got)
	}
	full := serve(t, f, Options{Writers: 4, readTime: time.Minute})
	for range 40 {
		c, err := net.Dial("unix", filepath.Join(full, "team0.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	c = NewClient(full, "team0")
	defer c.Close()
	if _, err := c.Delete(t.Context(), ChangeOptions{}); kindOf(t, err) != api.NoAnswer ||
		!strings.Contains(err.Error(), "too many connections are open") {
		t.Errorf("delete: %v", err)
	}
}

// TestChangeIsLogged: with what was wanted, and by whom.
func TestChangeIsLogged(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	dir := serve(t, &fake{}, Options{Log: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))})
	c := NewClient(dir, "team0")
	defer c.Close()
	ctx := t.Context()
	_, _ = c.Status(ctx)
	_, _ = c.Add(ctx, []string{"eth1", "eth2"}, ChangeOptions{})
	_, _ = c.Remove(ctx, []string{"eth1"}, ChangeOptions{})
	_, _ = c.Set(ctx, map[string]string{"mode": "xor", "hash": "layer2\nlevel=ERROR"}, ChangeOptions{})
	_, _ = c.Delete(ctx, ChangeOptions{})
	mu.Lock()
	defer mu.Unlock()
	comm, _ := os.ReadFile("/proc/self/comm")
	who := fmt.Sprintf("uid=%d pid=%d program=%s", os.Geteuid(), os.Getpid(), strings.TrimSpace(string(comm)))
	for _, what := range []string{`"add eth1 eth2"`, `"remove eth1"`, `"set hash=layer2\nlevel=ERROR mode=xor"`,
		"delete"} {
		if !strings.Contains(log.String(), "what="+what+" "+who) {
			t.Errorf("no line of %s by %s in\n%s", what, who, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 4 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// mistaken panics where a status is asked for.
type mistaken struct{ *fake }

func (m mistaken) Explain(string) (*api.Explanation, error) { panic("a mistake") }
func (m mistaken) Delete(context.Context, ChangeOptions) ([]string, error) {
	panic(fmt.Errorf("another"))
}

// TestPanicInARequest: it costs that request, and the answer says so.
func TestPanicInARequest(t *testing.T) {
	dir := serve(t, mistaken{&fake{}}, Options{})
	c := NewClient(dir, "team0")
	defer c.Close()
	_, err := c.Explain(t.Context(), "x")
	if kindOf(t, err) != api.Failed || !strings.Contains(err.Error(), "a mistake") {
		t.Errorf("explain: %v", err)
	}
	if _, err = c.Delete(t.Context(), ChangeOptions{}); kindOf(t, err) != api.Failed {
		t.Errorf("delete: %v", err)
	}
	if status, _ := request(t, dir, http.MethodGet, "/v1/status", ""); status != http.StatusOK {
		t.Errorf("status: %v", status)
	}
}
