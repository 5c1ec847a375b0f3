// SPDX-License-Identifier: MIT

package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// servers are the names of processes that hold the connection of a session. OpenSSH 9.8 divided sshd.
var servers = []string{"sshd", "sshd-session", "dropbear", "tinysshd"}

// isServer reports whether a process is an SSH server's.
func isServer(pid int) bool {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && slices.Contains(servers, strings.TrimSuffix(string(comm), "\n"))
}

// maxAncestors bounds the way up to init.
const maxAncestors = 200

// ancestors lists the processes above one, the nearest first, as far as /proc shows them.
func ancestors(pid int) (list []int) {
	for len(list) < maxAncestors {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		var ok bool
		if pid, ok = parentOf(string(b)); !ok || pid == 0 {
			break
		}
		list = append(list, pid)
	}
	return list
}

// parentOf reads the parent from /proc/PID/stat: PID (NAME) STATE PARENT …, where NAME may have anything in it.
func parentOf(stat string) (pid int, ok bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	f := strings.Fields(stat[end+1:])
	if len(f) < 2 {
		return 0, false
	}
	pid, err := strconv.Atoi(f[1])
	return pid, err == nil && pid >= 0
}

// serverProcesses lists all processes of SSH servers that /proc shows.
func serverProcesses() (list []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && isServer(pid) {
			list = append(list, pid)
		}
	}
	return list
}

// socketInodes lists the sockets that a process has open, none without the right to see them.
func socketInodes(pid int) map[uint32]bool {
	inodes := map[uint32]bool{}
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range paths {
		to, err := os.Readlink(path)
		if err != nil {
			continue
		}
		if inode, ok := socketInode(to); ok {
			inodes[inode] = true
		}
	}
	return inodes
}

// socketInode reads "socket:[INODE]".
func socketInode(link string) (uint32, bool) {
	number, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	number, ok = strings.CutSuffix(number, "]")
	inode, err := strconv.ParseUint(number, 10, 32)
	return uint32(inode), ok && err == nil
}
