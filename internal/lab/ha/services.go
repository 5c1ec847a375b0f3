// SPDX-License-Identifier: MIT

package ha

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"nicteam/internal/lab"
)

// services are what a real server serves at all of its addresses, each answering with the server's name:
//
//	80, 8080  HTTP: / is the name, /SEED/SIZE a file
//	23        lines: each is answered by the name
//	7/udp     datagrams come back, with the name behind
type services struct {
	web     *http.Server
	lines   net.Listener
	echo    net.PacketConn
	running sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // sessions of lines
}

// StartServices starts what a real server serves.
func (h *Server) StartServices() (err error) {
	s := &services{open: map[net.Conn]bool{}}
	file := lab.FileHandler()
	s.web = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = io.WriteString(w, h.Label)
			return
		}
		file.ServeHTTP(w, r)
	})}
	h.services = s
	for _, port := range []string{":80", ":8080"} {
		l, err := h.Listen("tcp4", port)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: serve: %w", h.Label, err), h.StopServices())
		}
		s.running.Go(func() { _ = s.web.Serve(l) })
	}
	if s.lines, err = h.Listen("tcp4", ":23"); err == nil {
		s.echo, err = h.ListenPacket("udp4", ":7")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: serve: %w", h.Label, err), h.StopServices())
	}
	s.running.Go(func() { s.serveLines(h.Label) })
	s.running.Go(s.serveEcho)
	return nil
}

// StopServices ends them and their connections, as the death of a server's process does.
func (h *Server) StopServices() error {
	s := h.services
	if s == nil {
		return nil
	}
	h.services = nil
	err := s.web.Close()
	if s.lines != nil {
		s.lines.Close()
	}
	if s.echo != nil {
		s.echo.Close()
	}
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *services) serveLines(name string) {
	for {
		c, err := s.lines.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		s.running.Go(func() {
			defer func() {
				s.mu.Lock()
				delete(s.open, c)
				s.mu.Unlock()
				c.Close()
			}()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if _, err := fmt.Fprintln(c, name); err != nil {
					return
				}
			}
		})
	}
}

func (s *services) serveEcho() {
	b := make([]byte, 2048)
	for {
		n, from, err := s.echo.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = s.echo.WriteTo(b[:n], from)
		}
	}
}
