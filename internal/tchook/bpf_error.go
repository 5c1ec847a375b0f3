// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// WhyNoPrograms says in a few words, for a status line, why a program could not be loaded or attached. It returns an
// unknown error's own text, and "" for nil.
//
// kernel.unprivileged_bpf_disabled is never the reason: it concerns processes without CAP_BPF and CAP_SYS_ADMIN, and
// the kernel refuses tc programs to those anyway.
func WhyNoPrograms(err error) string {
	var held *HookHeld
	var verdict *ebpf.VerifierError
	var file *fs.PathError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &held):
		return held.Error()
	// The verifier's log is the reason, not the errno.
	case errors.As(err, &verdict) && len(verdict.Log) > 0:
		if !hasPerfmon() {
			return noPerfmon
		}
		return "the kernel's verifier refuses the programs: " + verdictOf(verdict.Log)
	case errors.As(err, &file) && strings.HasPrefix(file.Path, "/sys/devices/system/cpu/"): // a container without /sys
		return "the number of CPUs cannot be read: " + file.Error()
	case errors.Is(err, unix.ENOSYS):
		return "this kernel has no bpf()"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return whyNotPermitted(hasBPF(), lockdown(), InitialUserNamespace())
	case errors.Is(err, unix.EEXIST):
		return "another qdisc is in the place of clsact"
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT),
		errors.Is(err, unix.EINVAL):
		return fmt.Sprintf("this kernel has neither tcx (Linux 6.6) nor clsact with cls_bpf: %v",
			rtnl.RootCause(err))
	}
	return err.Error()
}

// Unprivileged reports whether a missing capability is the reason.
func Unprivileged(err error) bool {
	why := WhyNoPrograms(err)
	return why == noBPF || why == noPerfmon
}

const (
	noBPF     = "this process has neither CAP_BPF nor CAP_SYS_ADMIN"
	noPerfmon = "this process has neither CAP_PERFMON nor CAP_SYS_ADMIN"
)

// verdictOf returns the verifier's objection: its last line that is not statistics.
func verdictOf(log []string) string {
	for _, line := range slices.Backward(log) {
		if !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time ") &&
			!strings.HasPrefix(line, "stack depth ") {
			return line
		}
	}
	return log[0]
}

// whyNotPermitted returns the most likely reason for EPERM.
func whyNotPermitted(capable bool, lockdown string, initial bool) string {
	switch {
	case !capable:
		return noBPF
	case !initial:
		return "in a user namespace (an unprivileged container) no programs can be loaded"
	case lockdown == "confidentiality": // mode integrity, as with Secure Boot, allows programs
		return fmt.Sprintf("the kernel is locked down (%s)", lockdown)
	}
	return "the kernel refuses programs, though this process has CAP_BPF: a seccomp filter or security module, or " +
		"on kernels before 5.11 RLIMIT_MEMLOCK"
}

// hasBPF reports whether the process has a capability that loads programs.
func hasBPF() bool { return hasCapability(unix.CAP_BPF) }

// hasPerfmon reports whether its programs may use pointers as compilers generate them (CAP_PERFMON).
func hasPerfmon() bool { return hasCapability(unix.CAP_PERFMON) }

// hasCapability reports whether the process has the capability or CAP_SYS_ADMIN; true if that is unknown.
func hasCapability(capability uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return true
	}
	has := func(bit uint) bool { return data[bit/32].Effective>>(bit%32)&1 != 0 }
	return has(capability) || has(unix.CAP_SYS_ADMIN)
}

// lockdown returns the kernel's lockdown mode, "" for none.
func lockdown() string {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	return lockdownMode(string(b))
}

// lockdownMode reads "none [integrity] confidentiality".
func lockdownMode(s string) string {
	_, s, _ = strings.Cut(s, "[")
	s, _, _ = strings.Cut(s, "]")
	if s == "none" {
		return ""
	}
	return s
}

// InitialUserNamespace reports whether the process is in the initial user namespace.
func InitialUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || wholeMap(string(b))
}

// wholeMap recognises the uid_map of the initial user namespace, which maps all users to themselves.
func wholeMap(s string) bool {
	f := strings.Fields(s)
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}
