// SPDX-License-Identifier: MIT

package daemon

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEveryThreadIsRaised: also those that the runtime starts meanwhile, from threads that are not raised yet.
func TestEveryThreadIsRaised(t *testing.T) {
	const child = "DAEMON_TEST_PRIORITY"
	if os.Getenv(child) == "" {
		if os.Geteuid() != 0 {
			t.Skip("a higher priority needs root")
		}
		for range 20 {
			cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
			cmd.Env = append(os.Environ(), child+"=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		return
	}
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					runtime.LockOSThread() // the thread ends with it, and the next needs another
					time.Sleep(20 * time.Microsecond)
				}()
				<-ended
			}
		})
	}
	time.Sleep(2 * time.Millisecond)
	RaisePriority()
	close(stop)
	wait.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		// The system call returns 20 less the niceness.
		if n, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && n != 20-niceness {
			t.Errorf("one of %d threads has niceness %d", len(tasks), 20-n)
		}
	}
}
