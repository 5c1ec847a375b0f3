// SPDX-License-Identifier: MIT

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
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	witnessSleep = 200 * time.Microsecond
	// sharedSleep is of the witness that streams share: it takes a fifth of the time on the processors.
	sharedSleep = time.Millisecond
	// A later wake-up shows a standstill; timers of a healthy machine are some microseconds late.
	witnessTolerance = 300 * time.Microsecond
)

// Witness records standstills of the machine, which small virtual machines have for some 5–40 ms: a thread on each CPU
// sleeps 200 µs at a time, at real-time priority so that no program delays it, and records when it woke late. It is a
// process of its own, because Go's collector and scheduler would delay its threads too.
type Witness struct {
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{}

	mu    sync.Mutex
	spans []Interval // sorted by From
	err   error
}

// StartWitness returns once all threads run. The program must have called Isolate first, as labtest.Main does: the
// witness is a copy of the program.
func StartWitness() (*Witness, error) { return startWitness(witnessSleep) }

func startWitness(sleep time.Duration) (*Witness, error) {
	if !hooked {
		return nil, errors.New("start witness: the program has not called lab.Isolate, labtest.Main does")
	}
	// The same arguments, so that the copy calls Isolate too.
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stageVariable+"="+stageWitness, sleepVariable+"="+sleep.String(),
		"GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	// Not standard output: the program may write to it before it calls Isolate.
	out, report, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	cmd.ExtraFiles = []*os.File{report}
	err = cmd.Start()
	report.Close()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("start witness: %w", err)
	}
	w := &Witness{cmd: cmd, in: in, done: make(chan struct{})}
	r := bufio.NewReader(out)
	if _, err := r.ReadByte(); err != nil {
		in.Close()
		out.Close()
		return nil, errors.Join(fmt.Errorf("start witness: %w", err), cmd.Wait())
	}
	go func() {
		defer out.Close()
		w.listen(r)
	}()
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

// Standstills returns the standstills so far, sorted. Those of two CPUs may overlap.
func (w *Witness) Standstills() []Interval {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spans)
}

// Within returns how much of a span the machine, or one of its CPUs, stood still.
func (w *Witness) Within(from, to time.Time) time.Duration {
	return duration(Interval{from.UnixNano(), to.UnixNano()}.overlap(union(w.Standstills())))
}

// Close ends the witness; its records stay readable. Closing twice is fine.
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

// shared is the witness of all streams of this program that have none of their own, while there are such.
var shared struct {
	sync.Mutex
	*Witness
	streams int
}

// ShareWitness returns the witness that streams share, whose threads sleep a millisecond at a time, and what ends its
// use. The records stay readable.
func ShareWitness() (w *Witness, end func() error, err error) {
	w, err = shareWitness()
	return w, sync.OnceValue(unshareWitness), err
}

// shareWitness returns the shared witness; unshareWitness ends its use.
func shareWitness() (_ *Witness, err error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.streams == 0 {
		if shared.Witness, err = startWitness(sharedSleep); err != nil {
			return nil, err
		}
	}
	shared.streams++
	return shared.Witness, nil
}

func unshareWitness() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.streams--; shared.streams > 0 {
		return nil
	}
	return shared.Close()
}

// sleepVariable tells a witness's process how long its threads sleep.
const sleepVariable = "NICTEAM_LAB_WITNESS_SLEEP"

// witnessFile is the descriptor on which a witness reports.
const witnessFile = 3

// runWitness is the witness's process. It writes one octet once all threads run, then intervals.
func runWitness() int {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		fmt.Fprintf(os.Stderr, "witness: read CPUs: %v\n", err)
		return 1
	}
	sleep, err := time.ParseDuration(os.Getenv(sleepVariable))
	if err != nil {
		fmt.Fprintf(os.Stderr, "witness: %s: %v\n", sleepVariable, err)
		return 1
	}
	// Each watcher occupies a P of the Go scheduler for good, and the others still need one. Nothing here allocates, so
	// that no garbage collection stops a watcher.
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(cpus.Count() + 2)
	var ready sync.WaitGroup
	for cpu := range len(cpus) * 64 {
		if cpus.IsSet(cpu) {
			ready.Add(1)
			go watchCPU(cpu, sleep.Nanoseconds(), &ready)
		}
	}
	ready.Wait()
	unix.Write(witnessFile, []byte{1})
	// The other side closes the pipe when it ends.
	io.Copy(io.Discard, os.Stdin)
	// Without os.Exit, which takes a second with the race detector.
	syscall.Exit(0)
	return 0
}

// watchCPU is a watcher's thread. Its loop makes raw system calls only: in a real-time class it would hang if Go's
// scheduler waited for an ordinary thread of the same CPU.
func watchCPU(cpu int, sleep int64, ready *sync.WaitGroup) {
	runtime.LockOSThread()
	exactTimers()
	ready.Done()
	ready.Wait()
	var only unix.CPUSet
	only.Set(cpu)
	// Without these it still watches, less precisely.
	_ = unix.SchedSetaffinity(0, &only)
	real := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}
	_ = unix.SchedSetAttr(0, &real, 0)
	var ts unix.Timespec
	var span Interval
	now := func() int64 {
		unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&ts)), 0)
		return ts.Nano()
	}
	for {
		span.From = now() + sleep
		for {
			ts = unix.NsecToTimespec(span.From)
			if _, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_REALTIME, unix.TIMER_ABSTIME,
				uintptr(unsafe.Pointer(&ts)), 0, 0, 0); errno != unix.EINTR {
				break
			}
		}
		if span.To = now(); span.length() > witnessTolerance.Nanoseconds() {
			unix.RawSyscall(unix.SYS_WRITE, witnessFile, uintptr(unsafe.Pointer(&span)), unsafe.Sizeof(span))
		}
	}
}
