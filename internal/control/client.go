// SPDX-License-Identifier: MIT

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nicteam/internal/api"
)

// Timeouts of a client.
const (
	answerTime = 3 * time.Second  // to connect, and for reads
	changeTime = 90 * time.Second // for changes; more than the server's workTime
	maxAnswer  = 16 << 20
)

// Client sends requests to the process of one team. Its errors are those of ctx, or *api.Problem: NotFound if no such
// team runs, NoAnswer if its process does not answer, else the team's own.
type Client struct {
	Log *slog.Logger // of requests, at Debug; nil: none

	// Supervised reports whether somebody starts the team's process again when it dies: a request waits for the next
	// one. nil: nobody does.
	Supervised func() bool

	// Waits reports whether a change of the team waits for confirmation: then a process of it runs, or is about to.
	// nil: none does.
	Waits func() bool

	team string
	path string
	http *http.Client
	wait time.Duration
}

// NewClient returns a client of RUN_DIR/TEAM.sock. It connects with the first request.
func NewClient(runDir, name string) *Client {
	c := &Client{team: name, path: filepath.Join(runDir, name+".sock"), wait: answerTime}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.dial(ctx)
		},
		DisableCompression: true,
	}}
	return c
}

// nextProcessTime bounds the wait for the next process of a supervised team.
const nextProcessTime = 3 * time.Second

// dial connects. While the process of a supervised team is being replaced, it waits.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: c.wait}
	for end := time.Now().Add(nextProcessTime); ; {
		conn, err := d.DialContext(ctx, "unix", c.path)
		comes := errors.Is(err, syscall.ECONNREFUSED) && c.supervised() ||
			(errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)) && c.Waits != nil && c.Waits()
		if !comes || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *Client) supervised() bool { return c.Supervised != nil && c.Supervised() }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the team's state.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	var st api.Status
	if err := c.ask(ctx, c.wait, "GET", "/v1/status", nil, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// Explain asks which member carries a flow.
func (c *Client) Explain(ctx context.Context, flow string) (*api.Explanation, error) {
	var e api.Explanation
	if err := c.ask(ctx, c.wait, "GET", "/v1/explain?flow="+url.QueryEscape(flow), nil, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// Peers asks which peer reaches the team by which member.
func (c *Client) Peers(ctx context.Context) (*api.Peers, error) {
	var p api.Peers
	if err := c.ask(ctx, c.wait, "GET", "/v1/peers", nil, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// Add adds NICs. It returns the steps done.
func (c *Client) Add(ctx context.Context, names []string, o ChangeOptions) ([]string, error) {
	return c.change(ctx, "POST", "/v1/members"+o.query(nil), membersBody{names})
}

// Remove drains and releases NICs.
func (c *Client) Remove(ctx context.Context, names []string, o ChangeOptions) ([]string, error) {
	if err := checkNames(names); err != nil {
		return nil, err
	}
	path := "/v1/members/" + url.PathEscape(names[0])
	return c.change(ctx, "DELETE", path+o.query(url.Values{"also": names[1:]}), nil)
}

// Set changes live settings.
func (c *Client) Set(ctx context.Context, settings map[string]string, o ChangeOptions) ([]string, error) {
	return c.change(ctx, "PATCH", "/v1/settings"+o.query(nil), settings)
}

// Apply makes NICs and settings what a configuration in YAML says. No steps: they are so already.
func (c *Client) Apply(ctx context.Context, want Config, o ChangeOptions) ([]string, error) {
	return c.change(ctx, "PUT", "/v1/config"+o.query(nil), want)
}

// Delete deletes the team.
func (c *Client) Delete(ctx context.Context, o ChangeOptions) ([]string, error) {
	return c.change(ctx, "DELETE", "/v1/team"+o.query(nil), nil)
}

// Confirm keeps the change that waits for confirmation.
func (c *Client) Confirm(ctx context.Context) ([]string, error) {
	return c.change(ctx, "POST", "/v1/confirm", nil)
}

// Revert undoes the change that waits for confirmation.
func (c *Client) Revert(ctx context.Context) ([]string, error) {
	return c.change(ctx, "POST", "/v1/revert", nil)
}

// Stop ends the team's process; see Backend.
func (c *Client) Stop(ctx context.Context, handover bool) ([]string, error) {
	return c.change(ctx, "POST", "/v1/stop", stopBody{&handover})
}

func (c *Client) change(ctx context.Context, method, path string, body any) ([]string, error) {
	var r api.Result
	if err := c.ask(ctx, changeTime, method, path, body, &r); err != nil {
		return nil, err
	}
	return r.Steps, nil
}

// Rates calls each with the traffic of every interval until it returns an error or ctx ends.
func (c *Client) Rates(ctx context.Context, interval time.Duration, each func(*api.Rates) error) error {
	return stream(c, ctx, "/v1/rates?interval="+url.QueryEscape(interval.String()), each)
}

// Events calls each with the recorded events, with follow also with new ones, until it returns an error or ctx ends.
func (c *Client) Events(ctx context.Context, follow bool, each func(*api.Event) error) error {
	path := "/v1/events"
	if follow {
		path += "?follow=1"
	}
	return stream(c, ctx, path, each)
}

// ask sends one request and reads one document.
func (c *Client) ask(ctx context.Context, wait time.Duration, method, path string, body, answer any) error {
	b, err := c.fetch(ctx, wait, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return c.problem(ctx, fmt.Errorf("its answer cannot be read: %w", err))
	}
	return nil
}

// fetch sends one request and reads the answer.
func (c *Client) fetch(ctx context.Context, wait time.Duration, method, path string, body any) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	res, err := c.send(limited, method, path, body)
	if err != nil {
		return nil, c.problem(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.problem(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, c.answeredProblem(res, b)
	}
	return b, nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (res *http.Response, err error) {
	if c.Log != nil {
		began := time.Now()
		defer func() {
			answer := slog.Any("err", err)
			if err == nil {
				answer = slog.String("answer", res.Status)
			}
			c.Log.Debug("asked", "team", c.team, "what", method+" "+path, answer, "took", time.Since(began))
		}()
	}
	if c.team == "" || strings.ContainsRune(c.team, '/') {
		return nil, fs.ErrNotExist
	}
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://team"+path, r)
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

// stream reads documents until the server ends, each fails or ctx ends.
func stream[T any](c *Client, ctx context.Context, path string, each func(*T) error) error {
	begun, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(c.wait, cancel) // the timeout covers the time until the answer begins
	res, err := c.send(begun, "GET", path, nil)
	if !late.Stop() && err == nil {
		_ = res.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		return c.problem(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		return c.answeredProblem(res, b)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var doc T
		if err := json.Unmarshal(lines.Bytes(), &doc); err != nil {
			return c.problem(ctx, fmt.Errorf("its answer cannot be read: %w", err))
		}
		if err := each(&doc); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.problem(ctx, err)
	}
	return ctx.Err()
}

// answeredProblem decodes the problem in the team's answer.
func (c *Client) answeredProblem(res *http.Response, b []byte) error {
	var p api.Problem
	if json.Unmarshal(b, &p) != nil || p.Kind == 0 || p.What == "" {
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team, Why: "its process answers " + res.Status,
			Fix: "check that both are of one version: nicteam version"}
	}
	return &p
}

// problem turns an error of the connection into a problem.
func (c *Client) problem(ctx context.Context, err error) error {
	var p *api.Problem
	var timeout net.Error
	switch {
	case errors.As(err, &p):
		return p
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist) && c.supervised():
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team,
			Why: "its process could not go on: the NICs were given back, and a start is tried again and again",
			Fix: "read the team's log; nicteam delete " + c.team + " ends that", Err: err}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("no team %q runs", c.team),
			Why: "there is no " + c.path, Fix: "nicteam list shows the teams; nicteam create makes one", Err: err}
	case errors.Is(err, fs.ErrPermission):
		return mayNotLook("ask "+c.team, "this user may not open "+c.path, filepath.Dir(c.path), c.path, err)
	case c.supervised() && (errors.Is(err, syscall.ECONNREFUSED) || endedInRequest(err)):
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team,
			Why: "its process ended before it answered; another one is started",
			Fix: "see what was done: nicteam status " + c.team, Err: err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team, Why: "its process is gone",
			Fix: "put the host back: nicteam restore " + c.team, Err: err}
	case endedInRequest(err):
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team, Why: "its process ended before it answered",
			Fix: "put the host back: nicteam restore " + c.team, Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(),
		errors.Is(err, context.Canceled):
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team, Why: "its process does not answer in time",
			Fix: "check nicteam list and the team's log", Err: err}
	default:
		return &api.Problem{Kind: api.NoAnswer, What: "ask " + c.team, Why: err.Error(),
			Fix: "nicteam list shows the teams that run", Err: err}
	}
}

func endedInRequest(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// Running lists the teams that have a socket in runDir, sorted; their processes may not answer. Without the directory
// no team runs. A directory that this user may not read is a *api.Problem.
func Running(runDir string) ([]string, error) {
	entries, err := os.ReadDir(runDir)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	default:
		return nil, UnreadableRunDir(runDir, err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".sock"); ok && name != "" && name[0] != '.' &&
			e.Type() == fs.ModeSocket {
			names = append(names, name)
		}
	}
	return names, nil
}
