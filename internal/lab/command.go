// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Command is a process of a host. Its fields are exec.Cmd's; what starts it is replaced, so that
// it starts in the host's namespaces. Host.Close kills it if it still runs.
type Command struct {
	*exec.Cmd
	h *Host
}

// Command prepares a process in the host.
func (h *Host) Command(name string, args ...string) *Command {
	return &Command{Cmd: exec.Command(name, args...), h: h}
}

// CommandContext prepares a process that is killed when ctx ends.
func (h *Host) CommandContext(ctx context.Context, name string, args ...string) *Command {
	return &Command{Cmd: exec.CommandContext(ctx, name, args...), h: h}
}

// Start starts the process and does not wait for it. A Pdeathsig would kill it at once: the
// thread that starts it ends.
func (c *Command) Start() error {
	started := make(chan error)
	go func() {
		// The thread changes its file system view for good, so it stays locked and ends here.
		runtime.LockOSThread()
		started <- c.start()
	}()
	return <-started
}

func (c *Command) start() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("start %s: unshare: %w", c.Path, err)
	}
	wd := c.Dir
	if wd == "" {
		// Entering a mount namespace moves the working directory to its root.
		var err error
		if c.Dir, err = unix.Getwd(); err != nil {
			return fmt.Errorf("start %s: %w", c.Path, err)
		}
	}
	for _, ns := range []struct{ fd, kind int }{{c.h.net, unix.CLONE_NEWNET}, {c.h.uts, unix.CLONE_NEWUTS},
		{c.h.mnt, unix.CLONE_NEWNS}} {
		if err := unix.Setns(ns.fd, ns.kind); err != nil {
			return fmt.Errorf("start %s in %s: setns: %w", c.Path, c.h.Name, err)
		}
	}
	return c.Cmd.Start()
}

// Run starts the process and waits for it.
func (c *Command) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the process and returns its standard output; an *exec.ExitError carries its standard error.
func (c *Command) Output() ([]byte, error) {
	var out, stderr bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		exit.Stderr = stderr.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the process and returns what it wrote.
func (c *Command) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
