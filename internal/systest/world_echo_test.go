// SPDX-License-Identifier: MIT

package systest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab/labtest"
)

// echoConnection is a TCP connection from box to an echo server on peer, open for the whole test.
type echoConnection struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
	n int
}

// startEcho connects to an echo server on peer.
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
		// Even if the FIN of the other end is not carried any more.
		defer context.AfterFunc(w.t.Context(), func() { c.Close() })()
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	c, err := w.box.Dial(w.t.Context(), "tcp", l.Addr().String())
	labtest.Must(w.t, err)
	w.t.Cleanup(func() { l.Close(); c.Close(); <-done })
	k := &echoConnection{t: w.t, c: c, r: bufio.NewReader(c)}
	k.check("at first")
	return k
}

// check sends a line and waits for its echo.
func (k *echoConnection) check(when string) {
	k.t.Helper()
	k.n++
	line := fmt.Sprintf("line %d\n", k.n)
	labtest.Must(k.t, k.c.SetDeadline(time.Now().Add(labtest.Patience)))
	_, err := io.WriteString(k.c, line)
	if err == nil {
		var got string
		if got, err = k.r.ReadString('\n'); err == nil && got != line {
			err = fmt.Errorf("got %q, want %q", strings.TrimSpace(got), strings.TrimSpace(line))
		}
	}
	if err != nil {
		k.t.Fatalf("open connection %s: %v", when, err)
	}
}
