package systest

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"nicteam/internal/lab/labtest"
)

// echoConnection is an open TCP connection from box to an echo service of peer.
type echoConnection struct {
	t testing.TB
	c net.Conn
}

// startEcho connects; the connection lives as long as the test.
func (w *world) startEcho() *echoConnection {
	w.t.Helper()
	l, err := w.peer.Listen("tcp", net.JoinHostPort(peer4.String(), "0"))
	labtest.Must(w.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	c, err := w.box.Dial(ctx, "tcp", l.Addr().String())
	labtest.Must(w.t, err)
	w.t.Cleanup(func() { l.Close(); c.Close(); <-done })
	k := &echoConnection{w.t, c}
	k.check("at first")
	return k
}

// check fails the test unless an octet comes back.
func (k *echoConnection) check(when string) {
	k.t.Helper()
	if _, err := k.echo(); err != nil {
		k.t.Fatalf("%s: the connection is broken: %v", when, err)
	}
}

// echo is how long an octet takes there and back.
func (k *echoConnection) echo() (time.Duration, error) {
	begin := time.Now()
	_ = k.c.SetDeadline(begin.Add(labtest.Patience))
	b := []byte{42}
	if _, err := k.c.Write(b); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(k.c, b)
	return time.Since(begin), err
}
