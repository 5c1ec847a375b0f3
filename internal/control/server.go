// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/metrics"
	"nicteam/internal/panics"
)

// Options configure a Server. The zero value of each is its default.
type Options struct {
	Log     *slog.Logger
	Writers int // connections of those who may change things, 48
	Readers int // connections of others, 32

	Failovers *metrics.Failovers // counted by the caller; nil: none
	Panics    *panics.Keeper     // of the process; nil: a new one
	Version   string             // of this process

	readTime  time.Duration // to read a request, 5 s
	writeTime time.Duration // to write a part of an answer, 5 s
	idleTime  time.Duration // between requests, 30 s
	workTime  time.Duration // of a change, 60 s
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Panics == nil {
		o.Panics = panics.New(o.Log)
	}
	if o.Writers == 0 {
		o.Writers = 48
	}
	if o.Readers == 0 {
		o.Readers = 32
	}
	for _, d := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&o.readTime, 5 * time.Second}, {&o.writeTime, 5 * time.Second}, {&o.idleTime, 30 * time.Second},
		{&o.workTime, time.Minute}} {
		if *d.to == 0 {
			*d.to = d.d
		}
	}
	return o
}

// Server answers for one team.
type Server struct {
	b Backend
	l *listener
	o Options

	scrapes http.Handler
}

// Listen makes the socket at path; clients that connect before Serve wait. The caller holds the team's lock.
func Listen(path string, b Backend, o Options) (*Server, error) {
	o = o.filled()
	l, err := listen(path, uint32(os.Geteuid()), o.Writers, o.Readers)
	if err != nil {
		return nil, err
	}
	return &Server{b: b, l: l, o: o, scrapes: scrapes(b, o)}, nil
}

// Serve answers until ctx ends. Then it finishes answers, ends streams, removes the socket and returns nil.
func (s *Server) Serve(ctx context.Context) error {
	hs := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: s.o.readTime,
		ReadTimeout:       s.o.readTime,
		IdleTimeout:       s.o.idleTime,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	hs.DisableGeneralOptionsHandler = true
	ended := make(chan error, 1)
	go func() { ended <- hs.Serve(s.l) }()
	select {
	case err := <-ended:
		_ = hs.Close()
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), s.o.writeTime)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		_ = hs.Close()
	}
	<-ended
	return nil
}

// Close removes the socket if Serve was not called.
func (s *Server) Close() error { return s.l.Close() }

type connKey struct{}

// withPeer stores the connection in the context of its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// connOf returns the connection of a request.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// answer writes a document; a client that does not read it in time loses its connection.
func (s *Server) answer(w http.ResponseWriter, status int, doc any) {
	b := encode(doc)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	s.deadline(w)
	w.WriteHeader(status)
	_, _ = w.Write(b) // on error the client is gone
}

// encode encodes a document as one line. Encoding the types of package api cannot fail.
func encode(doc any) []byte {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

func (s *Server) refuse(w http.ResponseWriter, p *api.Problem) {
	s.answer(w, httpStatus(p.Kind), p)
}

// deadline sets the deadline of the next write.
func (s *Server) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.writeTime))
}

// tooLarge reports whether a body exceeded maxBody.
func tooLarge(err error) bool {
	var m *http.MaxBytesError
	return errors.As(err, &m)
}
