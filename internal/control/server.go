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

// Options say how a server serves. The zero value of each is its default.
type Options struct {
	Log     *slog.Logger
	Writers int // connections of those who may change things, 48
	Readers int // connections of others, 32

	Failovers *metrics.Failovers // counted elsewhere; nil: none
	Panics    *panics.Keeper     // of the process; nil: nobody asks for them
	Version   string             // of this process

	readTime  time.Duration // for a request to arrive, 5 s
	writeTime time.Duration // for a piece of an answer to be taken, 5 s
	idleTime  time.Duration // between requests, 30 s
	workTime  time.Duration // for a change to be made, 60 s
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

	histories chan struct{} // a place for each history that may be answered at a time
	scrapes   http.Handler
}

// Listen makes the socket at path; from then on clients wait for Serve rather than see nobody.
// Whoever calls it holds the team's lock.
func Listen(path string, b Backend, o Options) (*Server, error) {
	o = o.filled()
	l, err := listen(path, uint32(os.Geteuid()), o.Writers, o.Readers)
	if err != nil {
		return nil, err
	}
	return &Server{b: b, l: l, o: o, histories: make(chan struct{}, 2), scrapes: scrapes(b, o)}, nil
}

// Serve answers until ctx ends; answers begun are finished, streams are ended. It takes the
// socket away and returns nil when ctx was the reason.
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

// Close takes the socket away without having served.
func (s *Server) Close() error { return s.l.Close() }

type connKey struct{}

// withPeer notes the connection for its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// connOf is the connection that a request came by.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// answer writes a document; a client that does not take it loses its connection.
func (s *Server) answer(w http.ResponseWriter, status int, doc any) {
	b := encode(doc)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	s.deadline(w)
	w.WriteHeader(status)
	_, _ = w.Write(b) // nobody is left to tell
}

// encode writes a document on a line. The types of package api cannot fail to be encoded.
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

// deadline gives the next write its time.
func (s *Server) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.writeTime))
}

// tooLarge reports whether a body was cut off at its bound.
func tooLarge(err error) bool {
	var m *http.MaxBytesError
	return errors.As(err, &m)
}
