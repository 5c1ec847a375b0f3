// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/config"
	"nicteam/internal/managers"
	"nicteam/internal/sandbox"
	"nicteam/internal/tchook"
	"nicteam/internal/tick"
)

// keptCapabilities are for links, packet sockets, and the programs that hide later members from the host.
var keptCapabilities = []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON}

// confine takes from the process what a running team does not need. What the kernel does not have of that is no error;
// the status tells it.
//
// A process that nobody starts again has to run its next program itself, and that one inherits the confinement. So it
// may run programs, and write to files: directories of a later version may be others.
func (s *session) confine() error {
	if err := sandbox.KeepCapabilities(keptCapabilities...); err != nil {
		return err
	}
	var missing []string
	inPlace := s.supervisor.Kind() == ""
	switch {
	case inPlace:
		missing = append(missing, "it may write to files and run programs, as nobody else starts its next process")
	default:
		if err := sandbox.WriteOnly(s.writable()...); err != nil {
			missing = append(missing, "it may write to files: "+err.Error())
		}
	}
	mayExec := inPlace
	if err := tchook.CanIsolate(); err != nil && !inPlace {
		mayExec = true
		missing = append(missing, "it may run programs, as it needs nft: "+err.Error())
	}
	var err error
	switch {
	case runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64":
		err = errors.New("not known for " + runtime.GOARCH)
	case s.life.after() == afterHandover && inPlace && filtered():
		// The process has the filter of the program before it, and another one would be added at each restart.
	default:
		err = sandbox.DenyCalls(mayExec)
	}
	if err != nil {
		missing = append(missing, "it may make any system call: "+err.Error())
	}
	s.life.unconfined = strings.Join(missing, "; ")
	if s.life.unconfined != "" && !inPlace {
		s.log.Warn("the process is not fully confined", "missing", s.life.unconfined)
	}
	return nil
}

// handOverWithoutDir hands the team over. The directory that is gone may be that of the running configuration.
func (s *session) handOverWithoutDir(ctx context.Context) error {
	if s.supervisor.Lost() {
		return errors.New("nobody would start the next process")
	}
	s.changeMu.Lock()
	c := s.runningConfig()
	s.changeMu.Unlock()
	if _, err := os.Stat(s.dirs.RunningConfig(c.Team)); err != nil {
		if err := config.Save(s.dirs.LastConfig(c.Team), c); err != nil {
			return err
		}
	}
	_, err := s.Stop(ctx, true)
	return err
}

// writable are what a running team writes to.
func (s *session) writable() []string {
	paths := []string{s.dirs.RunDir, s.dirs.StateDir, s.dirs.ConfigDir, "/proc/sys/net", "/dev/null", "/dev/net/tun"}
	if err := managers.MakeDirs(); err != nil {
		s.log.Warn("network managers that start later will not be told", "err", err)
	}
	return append(paths, managers.Dirs...)
}

// filtered reports whether a system call filter is in force.
func filtered() bool {
	b, err := os.ReadFile("/proc/self/status")
	return err == nil && strings.Contains(string(b), "\nSeccomp:\t2\n")
}

// followDirs hands the team over if somebody removes one of its directories: this process may not write to the one that
// is made again, the next process may.
func (s *session) followDirs(ctx context.Context) {
	if s.supervisor.Kind() == "" {
		return // not confined to them
	}
	var were []unix.Stat_t
	dirs := []string{s.dirs.RunDir, s.dirs.StateDir, s.dirs.ConfigDir}
	for _, dir := range dirs {
		var st unix.Stat_t
		_ = unix.Stat(dir, &st)
		were = append(were, st)
	}
	for range tick.Beat(ctx, time.Second) {
		for i, dir := range dirs {
			var st unix.Stat_t
			if err := unix.Stat(dir, &st); err != nil || st.Ino != were[i].Ino || st.Dev != were[i].Dev {
				s.log.Warn("a directory was removed or replaced; the next process goes on", "dir", dir, "err", err)
				if err := s.handOverWithoutDir(ctx); err != nil {
					s.log.Error("the team goes on without its directory", "dir", dir, "err", err)
				}
				return
			}
		}
	}
}
