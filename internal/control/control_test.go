// SPDX-License-Identifier: MIT

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("CONTROL_TEST_SOCKET"); path != "" {
		os.Exit(otherUser(path))
	}
	if dir := os.Getenv("CONTROL_TEST_RUNDIR"); dir != "" {
		os.Exit(otherUserLists(dir))
	}
	if path := os.Getenv("CONTROL_TEST_ROUTES"); path != "" {
		os.Exit(asksEveryRoute(path))
	}
	os.Exit(m.Run())
}

func kindOf(t *testing.T, err error) api.ExitCode {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v is not a problem", err)
	}
	if p.What == "" || p.Why == "" || p.Fix == "" {
		t.Errorf("problem has an empty part: %#v", p)
	}
	return p.Kind
}

func TestClientAndServer(t *testing.T) {
	f := &fake{}
	c := NewClient(serve(t, f, Options{}), "team0")
	defer c.Close()
	ctx := t.Context()

	st, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.Status(), st); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	e, err := c.Explain(ctx, "tcp 10.0.0.1:5000 10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if want := (&api.Explanation{Schema: "nicteam.explain/v1", Flow: "tcp 10.0.0.1:5000 10.0.0.2:80", Member: "eth1",
		Why: "because"}); !cmp.Equal(want, e) {
		t.Errorf("explain (-want +got):\n%s", cmp.Diff(want, e))
	}
	for _, change := range []func() ([]string, error){
		func() ([]string, error) { return c.Add(ctx, []string{"eth2", "eth0.100"}, ChangeOptions{Accept: true}) },
		func() ([]string, error) { return c.Remove(ctx, []string{"eth%2&x?"}, ChangeOptions{}) },
		func() ([]string, error) { return c.Remove(ctx, []string{"eth1", "eth2"}, ChangeOptions{Force: true}) },
		func() ([]string, error) {
			return c.Set(ctx, map[string]string{"hash": "layer2", "mtu": "9000"}, ChangeOptions{})
		},
		func() ([]string, error) { return c.Delete(ctx, ChangeOptions{Force: true}) },
	} {
		steps, err := change()
		if err != nil {
			t.Fatal(err)
		}
		if calls := f.called(); len(steps) != 1 || steps[0] != "did "+calls[len(calls)-1] {
			t.Errorf("steps %q after %q", steps, calls)
		}
	}
	want := []string{`add ["eth2" "eth0.100"] true`, `remove ["eth%2&x?"] false`, `remove ["eth1" "eth2"] true`,
		`set ["hash=layer2" "mtu=9000"]`, `delete true`}
	if d := cmp.Diff(want, f.called()); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

func TestProblemsTravelWhole(t *testing.T) {
	f := &fake{}
	c := NewClient(serve(t, f, Options{}), "team0")
	defer c.Close()
	for _, k := range []api.ExitCode{api.Failed, api.Usage, api.NotFound, api.NotPermitted, api.Conflict, api.Reverted,
		api.NoAnswer} {
		f.err = fmt.Errorf("add: %w", &api.Problem{Kind: k, What: "what", Why: "why", Fix: "fix"})
		_, err := c.Add(t.Context(), []string{"eth1"}, ChangeOptions{})
		var p *api.Problem
		if !errors.As(err, &p) || *p != (api.Problem{Kind: k, What: "what", Why: "why", Fix: "fix"}) {
			t.Errorf("kind %d arrives as %#v", k, err)
		}
	}
	f.err = errors.New("plain")
	if _, err := c.Explain(t.Context(), "x"); kindOf(t, err) != api.Failed || !strings.Contains(err.Error(), "plain") {
		t.Errorf("plain error arrives as %v", err)
	}
}

// request sends bytes as they are and returns the status and the body.
func request(t *testing.T, dir, method, path, body string) (int, map[string]any) {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "team0.sock"))
		}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, path, res.StatusCode, b, err)
	}
	return res.StatusCode, doc
}

func TestRefusals(t *testing.T) {
	f := &fake{}
	dir := serve(t, f, Options{})
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               api.ExitCode
		has                string
	}{
		{"GET", "/", "", 404, api.Usage, "no such resource"},
		{"GET", "/v1/statuses", "", 404, api.Usage, "no such resource"},
		{"POST", "/v1/status", "", 405, api.Usage, "method not allowed"},
		{"PUT", "/v1/members/eth1", "", 405, api.Usage, "method not allowed"},
		{"GET", "/v1/status?x=1", "", 400, api.Usage, "no parameter"},
		{"GET", "/v1/rates?interval=1", "", 400, api.Usage, "interval"},
		{"GET", "/v1/rates?interval=1ms", "", 400, api.Usage, "interval"},
		{"GET", "/v1/rates?interval=1s&interval=2s", "", 400, api.Usage, "twice"},
		{"GET", "/v1/events?follow=perhaps", "", 400, api.Usage, "follow"},
		{"GET", "/v1/explain", "", 400, api.Usage, "flow missing"},
		{"GET", "/v1/explain?flow=" + strings.Repeat("x", 300), "", 400, api.Usage, "flow missing"},
		{"GET", "/v1/peers?x=1", "", 400, api.Usage, "no parameter"},
		{"DELETE", "/v1/peers", "", 405, api.Usage, "method not allowed"},
		{"GET", "/v1/history?last=1", "", 400, api.Usage, "want a duration"},
		{"GET", "/v1/history?last=-1h", "", 400, api.Usage, "want a duration"},
		{"GET", "/v1/history?step=10ms", "", 400, api.Usage, "want a duration from 1s"},
		{"GET", "/v1/history?from=yesterday", "", 400, api.Usage, "RFC 3339"},
		{"GET", "/v1/history?to=", "", 400, api.Usage, "RFC 3339"},
		{"GET", "/v1/history?last=1h&from=2026-01-02T03:04:05Z", "", 400, api.Usage, "use one of them"},
		{"GET", "/v1/history?from=2026-01-02T03:04:05Z&to=2026-01-01T03:04:05Z", "", 400, api.Usage,
			"want from before to"},
		{"GET", "/v1/history?from=0001-01-01T00:00:00Z", "", 400, api.Usage, "at most"},
		{"GET", "/v1/history?member=" + strings.Repeat("n", 128), "", 400, api.Usage, "15 bytes"},
		{"GET", "/v1/history?member=", "", 400, api.Usage, "15 bytes"},
		{"GET", "/v1/history?member=eth9", "", 404, api.NotFound, "no such member"},
		{"GET", "/v1/history?period=1h", "", 400, api.Usage, "last, from, to, step, member"},
		{"GET", "/metrics?team=x", "", 400, api.Usage, "no parameter"},
		{"POST", "/v1/members", "", 400, api.Usage, "EOF"},
		{"POST", "/v1/members", `{"names":["eth1"],"force":true}`, 400, api.Usage, "unknown field"},
		{"POST", "/v1/members", `{"names":[]}`, 400, api.Usage, "0 NICs"},
		{"POST", "/v1/members", `{"names":"eth1"}`, 400, api.Usage, "cannot unmarshal"},
		{"POST", "/v1/members", `{"names":["eth1"]} {}`, 400, api.Usage, "want one JSON value"},
		{"POST", "/v1/members", `{"names":["` + strings.Repeat("n", 128) + `"]}`, 400, api.Usage, "15 bytes"},
		{"POST", "/v1/members", `{"names":[` + strings.Repeat(`"eth1",`, 64) + `"eth1"]}`, 400, api.Usage, "65 NICs"},
		{"POST", "/v1/members", `{"names":["` + strings.Repeat("x", maxBody) + `"]}`, 400, api.Usage,
			"larger than 64 KiB"},
		{"DELETE", "/v1/members/" + strings.Repeat("n", 128), "", 400, api.Usage, "15 bytes"},
		{"DELETE", "/v1/members/eth1", strings.Repeat("x", maxBody+1), 400, api.Usage, "larger than 64 KiB"},
		{"DELETE", "/v1/team", strings.Repeat("x", maxBody+1), 400, api.Usage, "larger than 64 KiB"},
		{"POST", "/v1/stop", "", 400, api.Usage, "EOF"},
		{"POST", "/v1/stop", "{}", 400, api.Usage, "handover is missing"},
		{"POST", "/v1/stop", `{"handover":1}`, 400, api.Usage, "bool"},
		{"DELETE", "/v1/members/eth1?force=yes", "", 400, api.Usage, "force"},
		{"PATCH", "/v1/settings", `{}`, 400, api.Usage, "no setting"},
		{"PATCH", "/v1/settings", `null`, 400, api.Usage, "no setting"},
		{"PATCH", "/v1/settings", `{"a":{}}`, 400, api.Usage, "is not a string, number"},
		{"PATCH", "/v1/settings", `[]`, 400, api.Usage, "cannot unmarshal"},
	} {
		t.Run(tt.method+tt.path[:min(len(tt.path), 30)]+tt.body[:min(len(tt.body), 30)], func(t *testing.T) {
			status, doc := request(t, dir, tt.method, tt.path, tt.body)
			all := fmt.Sprint(doc["error"], "|", doc["why"], "|", doc["fix"])
			if status != tt.status || doc["code"] != float64(tt.code) || !strings.Contains(all, tt.has) ||
				doc["schema"] != "nicteam.problem/v1" {
				t.Errorf("%d %v, want %d, code %d and %q", status, doc, tt.status, tt.code, tt.has)
			}
		})
	}
	if calls := f.called(); len(calls) != 0 {
		t.Errorf("a refused request reached the team: %q", calls)
	}
	if status, _ := request(t, dir, "PATCH", "/v1/settings",
		`{"mtu":9000,"balance":false,"hash":"layer2"}`); status != 200 {
		t.Errorf("status %d", status)
	}
	if d := cmp.Diff([]string{`set ["balance=off" "hash=layer2" "mtu=9000"]`}, f.called()); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

func TestRates(t *testing.T) {
	c := NewClient(serve(t, &fake{}, Options{readTime: 50 * time.Millisecond}), "team0")
	defer c.Close()
	enough := errors.New("enough")
	n := 0
	err := c.Rates(t.Context(), 100*time.Millisecond, func(r *api.Rates) error {
		n++
		if r.RX != (frame.Count{Bytes: 1000, Frames: 10}) || r.TX != (frame.Count{Bytes: 60, Frames: 1}) ||
			r.Interval != int64(time.Second) || len(r.Protocols) != frame.Protocols {
			t.Errorf("rates %+v", r)
		}
		if p := r.Protocols[frame.ARP]; p.Name != "arp" || p.TX.Frames != 1 || p.RX.Frames != 0 {
			t.Errorf("arp %+v", p)
		}
		if n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 {
		t.Errorf("%d documents, %v", n, err)
	}
}

func TestEvents(t *testing.T) {
	c := NewClient(serve(t, &fake{}, Options{}), "team0")
	defer c.Close()
	var got []string
	if err := c.Events(t.Context(), false, func(e *api.Event) error {
		got = append(got, e.Member)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"eth0", "eth1"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	n := 0
	err := c.Events(ctx, true, func(*api.Event) error {
		if n++; n == 5 {
			cancel(why)
		}
		return nil
	})
	if n < 5 || !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("%d events, %v", n, err)
	}
}

// TestSlowReader: a stream that nobody reads ends within the time to take a piece of it.
func TestSlowReader(t *testing.T) {
	dir := serve(t, &fake{}, Options{writeTime: 100 * time.Millisecond, Writers: 1, Readers: 1})
	slow, err := net.Dial("unix", filepath.Join(dir, "team0.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := io.WriteString(slow, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Its place is the only one: another gets an answer once it is cut off.
	c := NewClient(dir, "team0")
	defer c.Close()
	waitFor(t, func() bool { _, err := c.Status(t.Context()); return err == nil })
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatal("waited 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestIdleConnections: those who say nothing keep nobody out for longer than a request may take to arrive.
func TestIdleConnections(t *testing.T) {
	dir := serve(t, &fake{}, Options{readTime: 100 * time.Millisecond, Writers: 3, Readers: 1})
	for range 10 {
		silent, err := net.Dial("unix", filepath.Join(dir, "team0.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
	}
	c := NewClient(dir, "team0")
	defer c.Close()
	waitFor(t, func() bool { _, err := c.Status(t.Context()); return err == nil })
}

// TestLongChange: a change takes longer than a request may take to arrive.
func TestLongChange(t *testing.T) {
	f := &fake{block: make(chan struct{}), entered: make(chan struct{})}
	c := NewClient(serve(t, f, Options{readTime: 20 * time.Millisecond}), "team0")
	defer c.Close()
	time.AfterFunc(200*time.Millisecond, func() { close(f.block) })
	if _, err := c.Add(t.Context(), []string{"eth1"}, ChangeOptions{}); err != nil {
		t.Error(err)
	}
}

// TestWorkIsBounded: a change that does not end is ended.
func TestWorkIsBounded(t *testing.T) {
	f := &fake{block: make(chan struct{}), entered: make(chan struct{})}
	c := NewClient(serve(t, f, Options{workTime: 50 * time.Millisecond}), "team0")
	defer c.Close()
	if _, err := c.Add(t.Context(), []string{"eth1"}, ChangeOptions{}); kindOf(t, err) != api.Failed {
		t.Error(err)
	}
}

// TestDeleteOutlivesItsClient, and its answer outlives the server's end.
func TestDeleteOutlivesItsClient(t *testing.T) {
	f := &fake{block: make(chan struct{}), entered: make(chan struct{})}
	dir := t.TempDir()
	s, err := Listen(filepath.Join(dir, "team0.sock"), f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	c := NewClient(dir, "team0")
	defer c.Close()
	done := make(chan error, 1)
	go func() { _, err := c.Delete(t.Context(), ChangeOptions{}); done <- err }()
	<-f.entered
	stop()
	close(f.block)
	if err := <-done; err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "team0.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	status := func(name string) error {
		c := NewClient(dir, name)
		c.wait = 100 * time.Millisecond
		defer c.Close()
		_, err := c.Status(t.Context())
		if err == nil {
			err = c.Events(t.Context(), true, func(*api.Event) error { return nil })
		}
		return err
	}
	for _, name := range []string{"none", "", "../x", "a/b"} {
		if err := status(name); kindOf(t, err) != api.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}

	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "dead.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	if err := status("dead"); kindOf(t, err) != api.NoAnswer || !strings.Contains(err.Error(), "gone") {
		t.Errorf("dead: %v", err)
	}

	hung, err := net.Listen("unix", filepath.Join(dir, "hung.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	if err := status("hung"); kindOf(t, err) != api.NoAnswer {
		t.Errorf("hung: %v", err)
	}
	c := NewClient(dir, "hung")
	c.wait = 100 * time.Millisecond
	defer c.Close()
	if err := c.Events(t.Context(), true, func(*api.Event) error { return nil }); kindOf(t, err) != api.NoAnswer {
		t.Errorf("hung stream: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := c.Events(ctx, true, func(*api.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled stream: %v", err)
	}

	rude, err := net.Listen("unix", filepath.Join(dir, "rude.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rude.Close() }()
	go func() {
		for {
			conn, err := rude.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
			_ = conn.Close()
		}
	}()
	if err := status("rude"); kindOf(t, err) != api.NoAnswer {
		t.Errorf("rude: %v", err)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"names":["eth1"]}`, `{"hash":"layer2","mtu":1,"x":true}`, `{}`, `[`, `{"names":[1]}`,
		`{"handover":true}`, `{"handover":null}`, "{\"a\":null}", `{"names":["a"]}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if names, err := parseMembers(b); err == nil {
			if len(names) == 0 || len(names) > 64 {
				t.Errorf("%d names pass", len(names))
			}
			for _, n := range names {
				if n == "" || len(n) > 15 {
					t.Errorf("name %q passes", n)
				}
			}
		} else {
			kindOf(t, err)
		}
		if _, err := parseStop(b); err != nil {
			kindOf(t, err)
		}
		if settings, err := parseSettings(b); err == nil {
			if len(settings) == 0 {
				t.Error("no settings pass")
			}
		} else {
			kindOf(t, err)
		}
	})
}
