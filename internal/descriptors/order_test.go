// SPDX-License-Identifier: MIT

package descriptors

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCloseFirst kills a process that has CloseFirst of one pipe of two, and between them a file that takes long to
// close.
func TestCloseFirst(t *testing.T) {
	const child = "NICTEAM_TEST_CLOSE_FIRST"
	if os.Getenv(child) != "" {
		// 3 is the pipe that stays longer, 4 the other one.
		if early := CloseFirst(4); early < ClosedFirst {
			os.Exit(1)
		}
		for range 20 {
			s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300) // closing it waits for all CPUs
			if err != nil {
				os.Exit(2)
			}
			CloseFirst(s)
		}
		_, _ = os.Stdout.WriteString("ready")
		time.Sleep(time.Hour)
	}
	if os.Geteuid() != 0 {
		t.Skip("packet sockets need root: sudo go test")
	}
	// On a busy machine both may be closed before this process looks.
	for range 5 {
		if firstClosed(t, child+"=1") == 1 {
			return
		}
	}
	t.Error("the kernel closes in another order")
}

// firstClosed starts a child, kills it, and returns which of its pipes is closed first.
func firstClosed(t *testing.T, env string) int {
	var readers, writers [2]*os.File
	for i := range readers {
		var err error
		if readers[i], writers[i], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		defer readers[i].Close()
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCloseFirst$")
	cmd.Env = append(os.Environ(), env)
	cmd.ExtraFiles = writers[:]
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	writers[0].Close()
	writers[1].Close()
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	poll := []unix.PollFd{{Fd: int32(readers[0].Fd())}, {Fd: int32(readers[1].Fd())}}
	for poll[0].Revents|poll[1].Revents == 0 {
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	if poll[0].Revents != 0 {
		return 0 // or both: who polls woke up late
	}
	return 1
}
