// SPDX-License-Identifier: MIT

package descriptors

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCloseFirst kills a process that has two pipes: the kernel closes the one with the higher number first, unless the
// other one has CloseFirst.
func TestCloseFirst(t *testing.T) {
	const child = "NICTEAM_TEST_CLOSE_FIRST"
	how := os.Getenv(child)
	if how != "" {
		if how == "early" {
			if early := CloseFirst(3); early < ClosedFirst {
				os.Exit(1)
			}
		}
		_, _ = os.Stdout.WriteString("ready")
		time.Sleep(time.Hour)
	}
	if order := closed(t, child+"=as ever"); !slices.Equal(order, []int32{4, 3}) {
		t.Errorf("the kernel closes in the order %v", order)
	}
	if order := closed(t, child+"=early"); !slices.Equal(order, []int32{3, 4}) {
		t.Errorf("with CloseFirst of 3 the kernel closes in the order %v", order)
	}
}

// closed starts a child that has pipes at 3 and 4, kills it, and returns in which order they are closed. An epoll
// instance keeps the order in which files become ready, whenever this process looks.
func closed(t *testing.T, env string) (order []int32) {
	t.Helper()
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(poller)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCloseFirst$")
	cmd.Env = append(os.Environ(), env)
	for fd := range int32(2) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		defer writer.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, writer)
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: 3 + fd}
		if err := unix.EpollCtl(poller, unix.EPOLL_CTL_ADD, int(reader.Fd()), &e); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range cmd.ExtraFiles {
		w.Close()
	}
	_, err = io.ReadFull(out, make([]byte, len("ready")))
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it has closed both
	if err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 2)
	n, err := unix.EpollWait(poller, events, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events[:n] {
		order = append(order, e.Fd)
	}
	return order
}
