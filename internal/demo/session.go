// SPDX-License-Identifier: MIT

package demo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// unconfirmed is how long the first create waits for a confirmation that does not come.
const unconfirmed = 2 * time.Second

// createOverSSH makes the team from desk, in a session that comes by a NIC of the team. At first nobody confirms it.
// Without sshd box makes the team itself.
func (d *demo) createOverSSH(ctx context.Context, before lab.Snapshot) error {
	create := []string{"create", teamName, "eth1", "eth2", "eth3"}
	if err := lab.HasSSHD(); err != nil {
		d.printf("box makes the team itself, since nobody can work on it from afar: %v", err)
		return d.nicteam(create...)
	}
	server, err := lab.NewSSHD(d.box, nil)
	if err != nil {
		return err
	}
	d.printf("desk works on box over ssh, which comes in by eth1. Somebody has to say that all is well; nobody does")
	err = d.over(server, nil, append(create, "--confirm", unconfirmed.String())...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != int(api.Reverted) {
		return fmt.Errorf("create that nobody confirms: %w, want exit %d", err, api.Reverted)
	}
	after, err := lab.SettledSnapshot(ctx, d.box)
	if err != nil {
		return err
	}
	if diff := lab.Diff(before, after); diff != "" {
		return fmt.Errorf("box is not as it was before a create that nobody confirmed:\n%s", diff)
	}
	d.printf("box is as before, and the session has lived through it. Once more, and somebody does")
	waits := make(chan struct{})
	var said sync.Once
	created := make(chan error, 1)
	go func() {
		created <- d.over(server, func(line string) {
			if strings.Contains(line, "nicteam confirm") {
				said.Do(func() { close(waits) })
			}
		}, create...)
	}()
	select {
	case <-waits:
	case err := <-created:
		return cmp.Or(err, errors.New("create did not wait for a confirmation"))
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := d.over(server, nil, "confirm", teamName); err != nil {
		return err
	}
	return <-created
}

// over runs the binary in box, typed on desk, and prints the command and its output, which it shows to look as well.
func (d *demo) over(server *lab.SSHD, look func(line string), args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	shown := &lineWriter{print: func(line string) {
		fmt.Fprintf(d.out, "         %s\n", line)
		if look != nil {
			look(line)
		}
	}}
	desk := peerHosts[1].name
	fmt.Fprintf(d.out, "\n         %s$ ssh root@%s nicteam %s\n", desk, boxAddress, strings.Join(args, " "))
	cmd := server.Login(d.peers[1], boxAddress, false, "'"+exe+"' "+strings.Join(args, " "))
	cmd.Stdout, cmd.Stderr = shown, shown
	err = cmd.Run()
	fmt.Fprintln(d.out)
	if err != nil {
		return fmt.Errorf("nicteam %s: %w", args[0], err)
	}
	return nil
}

// lineWriter prints whole lines.
type lineWriter struct {
	print func(string)
	rest  []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.print(strings.TrimRight(string(line), "\r"))
		l.rest = rest
	}
}
