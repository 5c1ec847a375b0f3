// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestWhyNoPrograms(t *testing.T) {
	wrapped := func(err error) error {
		return fmt.Errorf("attach program to ingress of eth0: %w", errors.Join(err, nil))
	}
	tests := []struct {
		in   error
		want string
	}{
		{nil, ""},
		{&HookHeld{"eth0", "ingress", `tcx program "x" (id 3)`}, `ingress of eth0 is held by tcx program "x" (id 3)`},
		{wrapped(unix.ENOSYS), "this kernel has no bpf()"},
		{wrapped(unix.EEXIST), "another qdisc is in the place of clsact"},
		{wrapped(&fs.PathError{Op: "open", Path: "/sys/devices/system/cpu/possible", Err: unix.ENOENT}),
			"the number of CPUs cannot be read: open /sys/devices/system/cpu/possible: no such file " +
				"or directory"},
		{wrapped(ebpf.ErrNotSupported),
			"this kernel has neither tcx (Linux 6.6) nor clsact with cls_bpf: not supported"},
		{wrapped(fmt.Errorf("add clsact: %w", unix.ENOENT)),
			"this kernel has neither tcx (Linux 6.6) nor clsact with cls_bpf: no such file or directory"},
		{wrapped(&ebpf.VerifierError{Cause: unix.EINVAL,
			Log: []string{"78: (85) call pc+16", "invalid read from stack R2 off -72+8 size 64",
				"processed 68 insns (limit 1000000)"}}),
			"the kernel's verifier refuses the programs: invalid read from stack R2 off -72+8 size 64"},
		{wrapped(&ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"R1 is no pointer"}}),
			"the kernel's verifier refuses the programs: R1 is no pointer"},
		{wrapped(&ebpf.VerifierError{Cause: unix.ENOSYS}), "this kernel has no bpf()"},
		{wrapped(unix.ENOMEM), "attach program to ingress of eth0: cannot allocate memory"},
	}
	for _, tt := range tests {
		if got := WhyNoPrograms(tt.in); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestWhyNotPermitted(t *testing.T) {
	tests := []struct {
		capable  bool
		lockdown string
		initial  bool
		want     string
	}{
		{false, "integrity", true, "this process has neither CAP_BPF nor CAP_SYS_ADMIN"},
		{true, "", false,
			"in a user namespace (an unprivileged container) no programs can be loaded"},
		{true, "confidentiality", true, "the kernel is locked down (confidentiality)"},
		{true, "integrity", true,
			"the kernel refuses programs, though this process has CAP_BPF: a seccomp filter or security module, or " +
				"on kernels before 5.11 RLIMIT_MEMLOCK"},
		{true, "", true,
			"the kernel refuses programs, though this process has CAP_BPF: a seccomp filter or security module, or " +
				"on kernels before 5.11 RLIMIT_MEMLOCK"},
	}
	for _, tt := range tests {
		if got := whyNotPermitted(tt.capable, tt.lockdown, tt.initial); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	for in, want := range map[string]string{"none [integrity] confidentiality\n": "integrity",
		"[none] integrity confidentiality\n": "", "": ""} {
		if got := lockdownMode(in); got != want {
			t.Errorf("lockdown %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{"         0          0 4294967295\n": true, "0 1000 1\n": false,
		"0 100000 65536\n1000 1000 1\n": false} {
		if got := wholeMap(in); got != want {
			t.Errorf("map %q: %v, want %v", in, got, want)
		}
	}
}
