// SPDX-License-Identifier: MIT

package ha

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// requestLimit is how long a request may take: a SYN is repeated after 1, 3 and 7 s.
const requestLimit = 10 * time.Second

// Requests are HTTP requests, each by a new connection, at an even rate whether answers come or not.
type Requests struct {
	from *lab.Host
	to   netip.AddrPort
	stop chan struct{}
	wait sync.WaitGroup
	once sync.Once

	mu   sync.Mutex
	list []*request // by start
}

// request is one of them. It is complete when took is not zero.
type request struct {
	start time.Time
	took  time.Duration
	by    string // the server that answered
	err   error
}

// StartRequests starts to send so many requests a second.
func StartRequests(from *lab.Host, to netip.AddrPort, rate int) *Requests {
	r := &Requests{from: from, to: to, stop: make(chan struct{})}
	r.wait.Go(func() {
		_ = from.Do(func() error {
			r.send(time.Second / time.Duration(rate))
			return nil
		})
	})
	return r
}

// send starts requests from the host's namespace until the end. After a standstill it does not catch up.
func (r *Requests) send(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		q := &request{start: time.Now()}
		r.mu.Lock()
		r.list = append(r.list, q)
		r.mu.Unlock()
		f, err := connectLater(netip.Addr{}, r.to)
		if err != nil {
			r.complete(q, "", err)
			continue
		}
		r.wait.Go(func() {
			by, err := ask(f)
			f.Close()
			r.complete(q, by, err)
		})
	}
}

func (r *Requests) complete(q *request, by string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.took, q.by, q.err = max(time.Since(q.start), 1), by, err
}

// connectLater begins a connection from the namespace of the calling thread, and from an address unless that is zero.
// It needs no thread while it waits, which many connections to a host that does not answer would have.
func connectLater(from netip.Addr, to netip.AddrPort) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if from.IsValid() {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	return os.NewFile(uintptr(fd), to.String()), nil
}

// ask waits for a connection and asks for the page.
func ask(f *os.File) (by string, err error) {
	if err := f.SetDeadline(time.Now().Add(requestLimit)); err != nil {
		return "", err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return "", err
	}
	if err := awaitConnected(raw); err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	if _, err := io.WriteString(f, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.0 200 ")) {
		return "", fmt.Errorf("answer %q", b)
	}
	return string(body), nil
}

// awaitConnected waits until a socket is connected or its connection has failed.
func awaitConnected(raw syscall.RawConn) error {
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(ready, 0); err != nil || n == 0 {
			return false
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		failed = err
		return true
	})
	return errors.Join(err, failed)
}

// Answers are what came of requests.
type Answers struct {
	Asked  int
	Failed int
	First  error          // the first failure
	By     map[string]int // answers by server
	Worst  time.Duration  // of an answer
}

func (a Answers) String() string {
	s := fmt.Sprintf("%d requests, %d failed, slowest %v, by server %v", a.Asked, a.Failed,
		a.Worst.Round(time.Millisecond), a.By)
	if a.First != nil {
		s += fmt.Sprintf(", first failure: %v", a.First)
	}
	return s
}

// Between returns what came of the requests that were started in a span of time, once all of them are complete.
func (r *Requests) Between(from, to time.Time) Answers {
	for {
		a, complete := r.between(from, to)
		if complete {
			return a
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *Requests) between(from, to time.Time) (a Answers, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.By, complete = map[string]int{}, true
	first, _ := slices.BinarySearchFunc(r.list, from, func(q *request, t time.Time) int { return q.start.Compare(t) })
	for _, q := range r.list[first:] {
		if q.start.After(to) {
			break
		}
		a.Asked++
		switch {
		case q.took == 0:
			complete = false
		case q.err != nil:
			if a.Failed++; a.First == nil {
				a.First = fmt.Errorf("begun at %s, after %v: %w", q.start.Format("15:04:05.000"),
					q.took.Round(time.Millisecond), q.err)
			}
		default:
			a.By[q.by]++
			a.Worst = max(a.Worst, q.took)
		}
	}
	return a, complete
}

// Stop ends the requests and waits for the last ones. Stopping twice is fine.
func (r *Requests) Stop() {
	r.once.Do(func() { close(r.stop) })
	r.wait.Wait()
}

// Ask sends so many requests, one after the other, from an address of the host, and returns what came of them.
func Ask(h *lab.Host, from netip.Addr, to netip.AddrPort, n int) (a Answers) {
	a.By = map[string]int{}
	for range n {
		a.Asked++
		begun := time.Now()
		by, err := askOnce(h, from, to)
		if err != nil {
			if a.Failed++; a.First == nil {
				a.First = err
			}
			continue
		}
		a.By[by]++
		a.Worst = max(a.Worst, time.Since(begun))
	}
	return a
}

func askOnce(h *lab.Host, from netip.Addr, to netip.AddrPort) (by string, err error) {
	var f *os.File
	err = h.Do(func() (err error) {
		f, err = connectLater(from, to)
		return err
	})
	if err != nil {
		return "", err
	}
	defer f.Close()
	return ask(f)
}
