// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Serve answers requests; commands run side by side.
func Serve(r io.Reader, w io.Writer) error {
	var mu sync.Mutex
	enc, dec := json.NewEncoder(w), json.NewDecoder(r)
	answer := func(a Response) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(a)
	}
	for {
		var q Request
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if q.Path != "" {
			answer(write(q))
			continue
		}
		go func() { answer(execute(q)) }()
	}
}

func write(q Request) Response {
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if q.Append {
		flags = os.O_WRONLY | os.O_APPEND
	} else if err := os.Remove(q.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		// A program that runs keeps its file: the path gets a new one.
		return Response{ID: q.ID, Error: err.Error()}
	}
	if err := os.MkdirAll(filepath.Dir(q.Path), 0o755); err != nil {
		return Response{ID: q.ID, Error: err.Error()}
	}
	f, err := os.OpenFile(q.Path, flags, os.FileMode(q.Mode))
	if err != nil {
		return Response{ID: q.ID, Error: err.Error()}
	}
	_, err = f.Write(q.Data)
	if err = errors.Join(err, f.Close()); err != nil {
		return Response{ID: q.ID, Error: err.Error()}
	}
	return Response{ID: q.ID}
}

func execute(q Request) Response {
	ctx := context.Background()
	if q.Seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.Seconds)*time.Second)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", q.Command)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"LANG=C.UTF-8", "NO_COLOR=1"}
	// A process of the command that goes on by itself must not delay the answer.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	a := Response{ID: q.ID, Out: string(out), Code: cmd.ProcessState.ExitCode()}
	exit := (*exec.ExitError)(nil)
	switch {
	case ctx.Err() != nil:
		a.Error = fmt.Sprintf("%s: still running after %d s", q.Command, q.Seconds)
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		a.Error = err.Error()
	}
	return a
}
