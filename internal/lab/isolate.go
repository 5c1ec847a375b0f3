// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageVariable tells a copy of the program which stage of Isolate it is. The inner program
// removes it from its environment, so what that starts may isolate itself again.
const stageVariable = "NICTEAM_LAB_STAGE"

const (
	stageInit   = "init"
	stageInside = "inside"
	// stageWitness has nothing to do with isolation: Isolate is where a copy learns its purpose.
	stageWitness = "witness"
)

// namespaces are those that the isolated copy gets.
const namespaces = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

var (
	inside bool
	hooked bool // Isolate was called, so a copy of this program can be a witness
)

// ErrNotRoot says that the caller may not make namespaces.
var ErrNotRoot = errors.New("need root to make network namespaces")

// Inside reports whether this process is an isolated copy.
func Inside() bool { return inside }

// Isolate runs the program again, with the same arguments and standard files, in private network,
// mount, process, host name and IPC namespaces:
//
//	the program as the user started it    waits, passes signals on
//	└─ init, process 1                    mounts /proc, /sys, /run, …; reaps orphans
//	   └─ the program                     Isolate returns done == false here
//
// A program calls it before it does anything else, as what precedes the call happens in each of the three.
// The caller exits with code when done is true. When the inner program ends, or anything of the
// three is killed, the kernel ends all processes inside and removes their devices, namespaces and mounts.
func Isolate() (code int, done bool, err error) {
	hooked = true
	switch os.Getenv(stageVariable) {
	case stageWitness:
		return runWitness(), true, nil
	case stageInside:
		os.Unsetenv(stageVariable)
		inside = true
		return 0, false, nil
	case stageInit:
		code, err = runInit()
		return code, true, err
	}
	if os.Geteuid() != 0 {
		return 0, false, fmt.Errorf("isolate: %w", ErrNotRoot)
	}
	code, err = runOuter()
	return code, true, err
}

func runOuter() (int, error) {
	signals := catchSignals()
	defer signal.Stop(signals)
	// Pdeathsig fires when the thread that forked ends, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   os.Args,
		Env:    append(os.Environ(), stageVariable+"="+stageInit),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: namespaces,
			Pdeathsig:  syscall.SIGKILL,
		},
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("isolate: start in new namespaces: %w", err)
	}
	go forwardSignals(signals, cmd.Process.Pid)
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("isolate: %w", err)
	}
	return exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// runInit is process 1 of the new namespaces.
func runInit() (int, error) {
	signals := catchSignals()
	if err := setUpNamespaces(); err != nil {
		return 1, fmt.Errorf("isolate: %w", err)
	}
	if err := os.Setenv(stageVariable, stageInside); err != nil {
		return 1, fmt.Errorf("isolate: %w", err)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 1, fmt.Errorf("isolate: start inner program: %w", err)
	}
	go forwardSignals(signals, pid)
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("isolate: wait for inner program: %w", err)
		case got == pid:
			return exitCode(status), nil
		}
	}
}

func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return c
}

// forwardSignals hands signals to the next stage. What a terminal's keys send reaches every stage by
// itself, and a second interrupt has a meaning of its own in many programs.
func forwardSignals(signals <-chan os.Signal, pid int) {
	for s := range signals {
		sig := s.(syscall.Signal)
		if (sig == syscall.SIGINT || sig == syscall.SIGQUIT) && inForeground() {
			continue
		}
		syscall.Kill(pid, sig)
	}
}

func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
