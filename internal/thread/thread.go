// SPDX-License-Identifier: MIT

// Package thread runs functions on threads of their own.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Ending runs f on a thread that ends with it: f changes what it may not be able to change back, such as the thread's
// network namespace or priority. That is never the main thread, which the Go runtime parks for good in place of ending
// it (mexit in runtime/proc.go), and whose namespace and priority are those of the process for whoever reads /proc/PID.
func Ending(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			Ending(f) // on another one: this one is taken meanwhile
			return
		}
		f()
	}()
	<-done
}
