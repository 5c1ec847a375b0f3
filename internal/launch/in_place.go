// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

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
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + SafePath}
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
	argv := append([]string{path}, d.Args("run", name, d.RunningConfig(name), verbose)...)
	// The settings are in the file, with every live change.
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NICTEAM_") {
			env = append(env, v)
		}
	}
	err = s.Exec(path, argv, env)
	return errors.Join(err, s.Exec("/proc/self/exe", argv, env))
}
