// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/lab/hosts/agent"
)

// An order is what `hosts do` sends to `hosts start`, as one JSON document, and an agent.Response is the answer.
type order struct {
	Words     []string
	Binary    string
	Packaging string
}

// socketOf is where a host that was started takes orders.
func socketOf(host string) string {
	return filepath.Join(os.TempDir(), "nicteam-hosts-"+host+".socket")
}

// orderLimit is how long a command of an order may take.
const orderLimit = 10 * time.Minute

// start boots one host and obeys until it is told to stop.
func start(ctx context.Context, o options) error {
	if len(o.rest) != 1 {
		return errors.New("start needs the name of one host")
	}
	r, err := findRecipe(o.rest[0])
	if err != nil {
		return err
	}
	began := time.Now()
	b, err := newBench(ctx, o, r)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("%s: ready after %v\n", r.Name, time.Since(began).Round(time.Second))
	return b.takeOrders(ctx)
}

// takeOrders obeys until it is told to stop.
func (b *bench) takeOrders(ctx context.Context) error {
	l, err := listen(socketOf(b.Name))
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { <-ctx.Done(); l.Close() }()
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer conn.Close()
			var q order
			if json.NewDecoder(conn).Decode(&q) != nil {
				return
			}
			out, code, err := b.obey(ctx, q)
			a := agent.Response{Out: out, Code: code}
			if err != nil {
				a.Error = err.Error()
			}
			_ = json.NewEncoder(conn).Encode(a)
			if len(q.Words) > 0 && q.Words[0] == "stop" {
				cancel()
			}
		}()
	}
}

func listen(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%s: already started", path)
	}
	_ = os.Remove(path)
	return net.Listen("unix", path)
}

func (b *bench) obey(ctx context.Context, q order) (string, int, error) {
	if len(q.Words) == 0 {
		return "", 0, errors.New("no order")
	}
	rest := strings.Join(q.Words[1:], " ")
	switch q.Words[0] {
	case "install":
		return "", 0, b.install(ctx, q.Binary, q.Packaging)
	case "exec":
		return b.machine.Run(ctx, rest, orderLimit)
	case "login":
		return b.network.Login(ctx, lease(0), rest, orderLimit)
	case "link":
		if len(q.Words) != 3 {
			return "", 0, errors.New("want: link NIC in|out")
		}
		nic, err := strconv.Atoi(strings.TrimPrefix(q.Words[1], "eth"))
		if err != nil || nic < 0 || nic >= nicCount || q.Words[2] != "in" && q.Words[2] != "out" {
			return "", 0, errors.New("want: link NIC in|out")
		}
		return "", 0, b.machine.SetLink(ctx, nic, q.Words[2] == "in")
	case "reboot":
		return "", 0, b.machine.Reboot(ctx)
	case "cut":
		return "", 0, b.machine.Cut(ctx)
	case "stop":
		return "", 0, nil
	}
	return "", 0, fmt.Errorf("order %q: want install, exec, login, link, reboot, cut or stop", q.Words[0])
}

// do sends an order and prints the answer.
func do(o options) error {
	if len(o.rest) < 2 {
		return errors.New("do needs a host and an order")
	}
	q := order{Words: o.rest[1:], Binary: o.binary, Packaging: o.packaging}
	if q.Words[0] == "install" && len(q.Words) == 2 {
		q.Binary = q.Words[1]
	}
	var err1, err2 error
	q.Binary, err1 = filepath.Abs(q.Binary)
	q.Packaging, err2 = filepath.Abs(q.Packaging)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	conn, err := net.Dial("unix", socketOf(o.rest[0]))
	if err != nil {
		return fmt.Errorf("%s was not started: %w", o.rest[0], err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return err
	}
	var a agent.Response
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return fmt.Errorf("%s ended: %w", o.rest[0], err)
	}
	fmt.Print(a.Out)
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if a.Code != 0 {
		os.Exit(a.Code)
	}
	return nil
}
