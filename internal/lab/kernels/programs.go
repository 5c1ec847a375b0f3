// SPDX-License-Identifier: MIT

package main

// programs are those that the tests and their scripts start. Those with a question mark may be missing.
var programs = []string{
	"sh", "cat", "cp", "echo", "env", "false", "head", "kill?", "ls", "mkdir", "mv", "pwd", "rm", "seq", "sleep",
	"sort", "stat",
	"tail", "timeout", "touch", "true", "uname", "wc", "grep", "sed", "setsid", "setpriv", "mount", "umount",
	"dmesg", "lsmod", "modprobe",
	"sysctl", "ip", "tc", "bridge", "nft", "ethtool", "ping", "strace?", "bpftool?",
	"keepalived?",
}

// directories of this machine that those programs read.
var directories = []string{"/etc/iproute2", "/usr/share/iproute2"}
