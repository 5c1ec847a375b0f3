// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What those find out who may look at teams (control.Group) and not open locks and journals.

// serves reports whether a process has the socket: of a dead one only the file is left.
func serves(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist)
}

// keeperSeen returns the process ID of the keeper of a team, 0 if there is none. Only a process of root counts, since
// anybody can give his own such arguments.
func keeperSeen(d Dirs, name string) int {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args := keeperArgs(pid, name)
		at := slices.Index(args, "--run-dir")
		if at < 0 || at+1 >= len(args) || args[at+1] != d.RunDir {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == 0 {
			return pid
		}
	}
	return 0
}
