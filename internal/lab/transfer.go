// SPDX-License-Identifier: MIT

package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Rate is an amount of octets and the time it took.
type Rate struct {
	Bytes int64
	Took  time.Duration
}

// BitsPerSecond returns the rate, 0 before anything took any time.
func (r Rate) BitsPerSecond() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Bytes) * 8 / r.Took.Seconds()
}

// Transfer sends size octets over one TCP connection to an address of the second host. The rate is the
// receiver's, from the first octet to the last.
func Transfer(ctx context.Context, from, to *Host, address string, size int64) (Rate, error) {
	l, err := to.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return Rate{}, fmt.Errorf("transfer: %w", err)
	}
	defer l.Close()
	type result struct {
		rate Rate
		err  error
	}
	received := make(chan result, 1)
	go func() {
		r, err := receiveBytes(l)
		received <- result{r, err}
	}()
	sendErr := sendBytes(ctx, from, l.Addr().String(), size)
	if sendErr != nil {
		l.Close()
	}
	got := <-received
	if sendErr != nil {
		return got.rate, fmt.Errorf("transfer: %w", sendErr)
	}
	if got.err == nil && got.rate.Bytes != size {
		got.err = fmt.Errorf("received %d octets of %d", got.rate.Bytes, size)
	}
	if got.err != nil {
		return got.rate, fmt.Errorf("transfer: %w", got.err)
	}
	return got.rate, nil
}

// receiveBytes accepts one connection and reads it to its end.
func receiveBytes(l net.Listener) (Rate, error) {
	c, err := l.Accept()
	if err != nil {
		return Rate{}, err
	}
	defer c.Close()
	buf := make([]byte, 1<<18)
	var r Rate
	var start time.Time
	for {
		n, err := c.Read(buf)
		if start.IsZero() {
			start = time.Now()
		}
		r.Bytes += int64(n)
		r.Took = time.Since(start)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
}

func sendBytes(ctx context.Context, from *Host, address string, size int64) error {
	c, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.(*net.TCPConn).SetLinger(0); c.Close() })()
	buf := make([]byte, 1<<18)
	for size > 0 {
		n, err := c.Write(buf[:min(size, int64(len(buf)))])
		size -= int64(n)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return nil
}

// FileServer serves files of any size, whose bytes follow from a seed, over HTTP in a host.
type FileServer struct {
	Address string // host:port
	server  *http.Server
	served  chan error
}

// ServeFiles starts a server on an address of the host, such as 10.9.0.2.
func ServeFiles(h *Host, address string) (*FileServer, error) {
	l, err := h.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve files: %w", err)
	}
	s := &FileServer{Address: l.Addr().String(), served: make(chan error, 1)}
	s.server = &http.Server{Handler: FileHandler()}
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

// FileHandler serves the files of a FileServer at paths /SEED/SIZE.
func FileHandler() http.Handler { return http.HandlerFunc(serveFile) }

func serveFile(w http.ResponseWriter, r *http.Request) {
	var seed uint64
	var size int64
	if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &seed, &size); err != nil || size < 0 {
		http.Error(w, "want /SEED/SIZE", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(size))
	_, _ = io.Copy(w, io.LimitReader(newSeededReader(seed), size))
}

// Close ends the server and its connections.
func (s *FileServer) Close() error {
	err := s.server.Close()
	<-s.served
	return err
}

// SHA256 is the hash of a file of the server.
func (s *FileServer) SHA256(seed uint64, size int64) string {
	sum := sha256.New()
	_, _ = io.Copy(sum, io.LimitReader(newSeededReader(seed), size))
	return hex.EncodeToString(sum.Sum(nil))
}

// Fetch downloads a file and returns the SHA-256 of what arrived. progress, if not nil, is called with the octets so
// far.
func (s *FileServer) Fetch(ctx context.Context, from *Host, seed uint64, size int64,
	progress func(int64)) (sha string, r Rate, err error) {
	transport := &http.Transport{DialContext: from.Dial, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/%d/%d", s.Address, seed, size),
		nil)
	if err != nil {
		return "", r, fmt.Errorf("fetch: %w", err)
	}
	start := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", r, fmt.Errorf("fetch: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", r, fmt.Errorf("fetch: %s", resp.Status)
	}
	sum := sha256.New()
	buf := make([]byte, 1<<16)
	for {
		n, err := resp.Body.Read(buf)
		sum.Write(buf[:n])
		r.Bytes += int64(n)
		r.Took = time.Since(start)
		if progress != nil {
			progress(r.Bytes)
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)), r, nil
		}
		if err != nil {
			return "", r, fmt.Errorf("fetch: %w", err)
		}
	}
}
