package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	witnessSleep = 200 * time.Microsecond
	// What is later than this was standstill; timers of a healthy machine are some microseconds late.
	witnessTolerance = 300 * time.Microsecond
)

// Witness sees when the machine stood still, as small virtual machines do for some 5–40 ms: a thread
// on each CPU sleeps 200 µs at a time, at real-time priority so that no busy program delays it, and notes when it
// woke late. It is a process of its own, because Go's collector and scheduler would delay its threads too.
type Witness struct {
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{}

	mu    sync.Mutex
	spans []Interval // sorted by From
	err   error
}

// StartWitness returns when all threads watch. The program must have called Isolate first thing, as
// labtest.Main does: the witness is another copy of it.
func StartWitness() (*Witness, error) {
	if !hooked {
		return nil, errors.New("start witness: the program has not called lab.Isolate, labtest.Main does")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageVariable+"="+stageWitness)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	w := &Witness{cmd: cmd, in: in, done: make(chan struct{})}
	r := bufio.NewReader(out)
	if _, err := r.ReadByte(); err != nil {
		in.Close()
		return nil, errors.Join(fmt.Errorf("start witness: %w", err), cmd.Wait())
	}
	go w.listen(r)
	return w, nil
}

func (w *Witness) listen(r io.Reader) {
	defer close(w.done)
	for {
		var i Interval
		if err := binary.Read(r, binary.NativeEndian, &i); err != nil {
			return
		}
		w.mu.Lock()
		at, _ := slices.BinarySearchFunc(w.spans, i, func(a, b Interval) int { return int(a.From - b.From) })
		w.spans = slices.Insert(w.spans, at, i)
		w.mu.Unlock()
	}
}

// Standstills returns what was seen so far, sorted; spans of two CPUs may overlap.
func (w *Witness) Standstills() []Interval {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spans)
}

// Within returns how much of a span the machine, or one of its CPUs, stood still.
func (w *Witness) Within(from, to time.Time) time.Duration {
	return duration(Interval{from.UnixNano(), to.UnixNano()}.overlap(w.Standstills()))
}

// Close ends the witness; what it saw stays readable. Closing twice is fine.
func (w *Witness) Close() error {
	w.in.Close()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != nil {
		w.err = w.cmd.Wait()
		w.cmd = nil
	}
	return w.err
}

// runWitness is the witness's process. It writes one octet when all watch, then intervals.
func runWitness() int {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		fmt.Fprintf(os.Stderr, "witness: read CPUs: %v\n", err)
		return 1
	}
	var ready sync.WaitGroup
	for cpu := range runtime.NumCPU() * 64 {
		if cpu < len(cpus)*64 && cpus.IsSet(cpu) {
			ready.Add(1)
			go watchCPU(cpu, ready.Done)
		}
	}
	ready.Wait()
	os.Stdout.Write([]byte{1})
	// The other side closes the pipe when it has seen enough, or has died.
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func watchCPU(cpu int, ready func()) {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	// Without these it still watches, only not as sharply.
	_ = unix.SchedSetaffinity(0, &only)
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0)
	exactTimers()
	ready()
	for {
		due := nanotime() + witnessSleep.Nanoseconds()
		sleepUntil(due)
		if now := nanotime(); now-due > witnessTolerance.Nanoseconds() {
			var b [16]byte
			binary.NativeEndian.PutUint64(b[:8], uint64(due))
			binary.NativeEndian.PutUint64(b[8:], uint64(now))
			os.Stdout.Write(b[:])
		}
	}
}
