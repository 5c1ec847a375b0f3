package fastpath

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// normalNice is the niceness of any process, whatever this one has.
const normalNice = 0

// lowPriority runs f where it takes no time from those who move frames. The kernel's verifier works for some tenths of a second
// without a pause, and threads of a team's process have a high priority, which would be that of the verifier, too.
// The thread ends with f: a process without CAP_SYS_NICE could not make it what it was.
func lowPriority(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), normalNice)
		done <- f()
	}()
	return <-done
}
