// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/supervisor"
)

// A team's process that nobody starts again becomes the next one by execve(2): the PID stays, and with it the shell or
// the service manager that waits for it.

// program is the path of this process's program. Read at the start: later it follows a rename of the file (mv nicteam
// nicteam.old), while the next process is to be what is installed at the path. It has no " (deleted)".
var program, errProgram = os.Executable()

// versionPatience bounds how long a program may take to tell its version.
const versionPatience = 5 * time.Second

// CheckNextProgram checks that the program at the path of this process runs: after an execve(2) it would be too late.
func CheckNextProgram(ctx context.Context, name string) error {
	path, err := program, errProgram
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, versionPatience)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "version")
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + safePath}
		err = cmd.Run()
	}
	if err == nil {
		return nil
	}
	return &api.Problem{Kind: api.Failed, What: "restart " + name,
		Why: fmt.Sprintf("the program does not run: %v; the team goes on in its present process", err),
		Fix: "install nicteam at " + path + " again, then retry", Err: err}
}

// BecomeNext replaces this process by `nicteam run` of the team's running configuration, which finds the descriptors
// that s keeps. It returns only if that fails. The next process may have another version; if there is no program at the
// path any more, it is this one.
func BecomeNext(s *supervisor.Supervisor, d Dirs, name string, verbose bool) error {
	path, err := program, errProgram
	if err != nil {
		return err
	}
	argv := []string{path, "run", name, "--config", d.RunningConfig(name),
		"--run-dir", d.RunDir, "--state-dir", d.StateDir, "--config-dir", d.ConfigDir}
	if verbose {
		argv = append(argv, "-v")
	}
	// The settings are in the file, with every live change.
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NICTEAM_") {
			env = append(env, v)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A signal must not end the process before it handles signals: the kernel keeps it until then.
	var block, was unix.Sigset_t
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		block.Val[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &was); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	err = s.Exec(path, argv, env)
	err = errors.Join(err, s.Exec("/proc/self/exe", argv, env))
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil))
}
