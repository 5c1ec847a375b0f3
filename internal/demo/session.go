// SPDX-License-Identifier: MIT

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
)

// unconfirmed is how long the first create waits for a confirmation that does not come.
const unconfirmed = 3 * time.Second

// createOverSSH makes the team from desk, in a session that comes by a NIC of the team. At first nobody confirms it.
// Without sshd box makes the team itself.
func (d *demo) createOverSSH(ctx context.Context) error {
	create := []string{"create", teamName, "eth1", "eth2", "eth3"}
	if err := lab.HasSSHD(); err != nil {
		d.printf("box makes the team itself, since nobody can work on it from afar: %v", err)
		return d.nicteam(create...)
	}
	server, err := lab.NewSSHD(d.box, nil)
	if err != nil {
		return err
	}
	d.printf("desk works on box over ssh, which comes in by eth1. At first nobody says that all is well")
	began := time.Now()
	err = d.over(server, append(create, "--confirm", unconfirmed.String())...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != int(api.Reverted) {
		return fmt.Errorf("create that nobody confirms: %w, want exit %d", err, api.Reverted)
	}
	d.printf("box is as before after %.1f s, and the session lives. Now somebody does", time.Since(began).Seconds())
	created := make(chan error, 1)
	go func() { created <- d.over(server, create...) }()
	client := control.NewClient(d.box.Path("/run/nicteam"), teamName)
	defer client.Close()
	for waits := false; !waits; {
		select {
		case err := <-created:
			return err // without a question, or not at all
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		s, err := client.Status(ctx)
		waits = err == nil && s.Pending != nil
	}
	if err := d.over(server, "confirm", teamName); err != nil {
		return err
	}
	return <-created
}

// over runs the binary in box, typed on desk.
func (d *demo) over(server *lab.SSHD, args ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := server.Login(d.peers[1], boxAddress, false, "'"+exe+"' "+strings.Join(args, " "))
	shown := &lineWriter{print: func(line string) { fmt.Fprintf(d.out, "         %s\n", line) }}
	fmt.Fprintf(d.out, "\n         %s$ ssh root@%s nicteam %s\n", peerHosts[1].name, boxAddress, strings.Join(args, " "))
	cmd.Stdout, cmd.Stderr = shown, shown
	if err := cmd.Run(); err != nil {
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
