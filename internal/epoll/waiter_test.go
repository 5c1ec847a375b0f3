// SPDX-License-Identifier: MIT

package epoll

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func waiter(t *testing.T, fd int) *Waiter {
	t.Helper()
	w, err := NewWaiter(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWaitSeesWhatCanBeRead(t *testing.T) {
	r, p := pipe(t)
	w := waiter(t, r)
	done := make(chan bool)
	b := []byte{1}
	for range 1000 {
		go func() { done <- w.Wait() }()
		if _, err := unix.Write(p, b); err != nil {
			t.Fatal(err)
		}
		if !<-done {
			t.Fatal("Wait returned false")
		}
		if n, err := unix.Read(r, b); n != 1 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { unix.Write(p, b); w.Wait(); unix.Read(r, b) }); allocs != 0 {
		t.Errorf("Wait makes %v allocations", allocs)
	}
}

func TestWakeRestClose(t *testing.T) {
	r, _ := pipe(t)
	w := waiter(t, r)
	done := make(chan bool)
	wait := func() { done <- w.Wait() }
	for range 3 {
		go wait()
		if err := w.Wake(); err != nil {
			t.Fatal(err)
		}
		if <-done || w.Wait() {
			t.Error("Wait returned true after Wake")
		}
		if err := w.ClearWake(); err != nil {
			t.Fatal(err)
		}
		if err := w.ClearWake(); err != nil {
			t.Fatalf("Rest twice: %v", err)
		}
	}
	go wait()
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if <-done || w.Wait() {
		t.Error("Wait returned true after Close")
	}
}

// What can be read since before Wait began is seen, whatever was told of it while nobody waited.
func TestWaitAfterWakeSeesWhatCameBetween(t *testing.T) {
	r, p := pipe(t)
	w := waiter(t, r)
	b := []byte{1}
	for i := range 200 {
		waits := make(chan bool)
		go func() { waits <- w.Wait() }()
		for range i % 20 {
			runtime.Gosched() // some are woken while they wait, some before
		}
		if err := w.Wake(); err != nil {
			t.Fatal(err)
		}
		if <-waits {
			t.Fatal("Wait returned true after Wake")
		}
		if err := w.ClearWake(); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(p, b); err != nil {
			t.Fatal(err)
		}
		poll(t)
		go func() { waits <- w.Wait() }()
		select {
		case ok := <-waits:
			if !ok {
				t.Fatal("Wait returned false after Rest")
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("round %d: Wait does not see what can be read", i)
		}
		if n, err := unix.Read(r, b); n != 1 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
	}
}

// poll returns once the runtime has taken in what the poller has to tell.
func poll(t *testing.T) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	got := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		got <- err
	}()
	runtime.Gosched()
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

// Who waits is woken to look for something, any number of times, and for good in the end.
func TestWokenToServe(t *testing.T) {
	r, _ := pipe(t)
	w := waiter(t, r)
	var asked, served atomic.Int64
	var ending atomic.Bool
	rounds := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			served.Store(asked.Load())
			rounds++
			if !w.Wait() && (w.ClearWake() != nil || ending.Load()) {
				return
			}
		}
	}()
	const n = 1000
	for i := range int64(n) {
		asked.Store(i + 1)
		if err := w.Wake(); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); served.Load() != i+1; runtime.Gosched() {
			if time.Since(began) > 5*time.Second {
				t.Fatalf("request %d is not served", i)
			}
		}
	}
	ending.Store(true)
	if err := w.Wake(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the end was lost")
	}
	if rounds > 2*n+2 {
		t.Errorf("%d rounds for %d requests", rounds, n)
	}
}

// A descriptor must stay as blocking as it was, and not be in the poller.
func TestFileKeepsTheDescriptorAsItWas(t *testing.T) {
	for _, nonblock := range []bool{false, true} {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		unix.Close(p[1])
		if err := unix.SetNonblock(p[0], nonblock); err != nil {
			t.Fatal(err)
		}
		f, err := File(p[0], "pipe")
		if err != nil {
			t.Fatal(err)
		}
		flags, err := unix.FcntlInt(uintptr(p[0]), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 != nonblock {
			t.Errorf("flags %#x, %v, want non-blocking %v", flags, err, nonblock)
		}
		// Deadlines are for what the poller has.
		if err := f.SetReadDeadline(time.Unix(1, 0)); err == nil {
			t.Error("the file is in the poller")
		}
		f.Close()
	}
}
