// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The test binary is also the process that is confined: SANDBOX_TEST names what it does.
func TestMain(m *testing.M) {
	if what := os.Getenv("SANDBOX_TEST"); what != "" {
		os.Exit(confined(what, os.Getenv("SANDBOX_DIR")))
	}
	os.Exit(m.Run())
}

// confined prints what a confined process can do. It also runs the calls in a thread that was there before.
func confined(what, dir string) int {
	before := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range before {
			f()
		}
	}()
	if err := KeepCapabilities(unix.CAP_NET_ADMIN); err != nil {
		fmt.Println("capabilities:", err)
		return 1
	}
	switch what {
	case "calls", "calls, exec":
		if err := DenyCalls(what == "calls, exec"); err != nil {
			fmt.Println("calls:", err)
			return 1
		}
	case "files":
		if err := WriteOnly(dir+"/own", dir+"/file", dir+"/none", "/proc/sys/net"); err != nil {
			fmt.Println("files:", err)
			return 1
		}
	}
	done := make(chan struct{})
	show := func() {
		fmt.Println("mount", unix.Mount("none", dir, "tmpfs", 0, ""))
		fmt.Println("setns", unix.Setns(-1, 0))
		list := exec.Command("/proc/self/exe", "-test.list=^$")
		list.Env = []string{"SANDBOX_TEST="}
		fmt.Println("exec", list.Run())
		fmt.Println("own", os.WriteFile(dir+"/own/sub/new", nil, 0o600))
		fmt.Println("rename", os.Rename(dir+"/own/sub/new", dir+"/own/newer"))
		fmt.Println("file", os.WriteFile(dir+"/file", []byte("x"), 0o600))
		fmt.Println("other", os.WriteFile(dir+"/other/new", nil, 0o600))
		_, err := os.ReadFile("/etc/hostname")
		fmt.Println("read", err)
		f, err := os.OpenFile("/proc/sys/net/ipv4/conf/lo/arp_ignore", os.O_WRONLY, 0)
		if err == nil {
			_ = f.Close()
		}
		fmt.Println("sysctl", err)
		close(done)
	}
	before <- show
	<-done
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "NoNewPrivs") {
			fmt.Print(strings.ReplaceAll(line, "\t", " "))
		}
	}
	return 0
}

func TestConfined(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	program := "/proc/self/exe"
	if errors.Is(allThreads(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS), errThreads) {
		program = filepath.Join(t.TempDir(), "test")
		build := exec.Command("go", "test", "-c", "-o", program, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const free = "bad file descriptor" // of setns: it was called
	for _, tt := range []struct {
		what string
		want map[string]string // how a line goes on
	}{
		{"capabilities", map[string]string{"setns": free, "exec": "<nil>", "other": "<nil>",
			"CapEff:": "0000000000001000", "NoNewPrivs:": "1"}},
		{"calls", map[string]string{"setns": "operation not permitted",
			"exec": "fork/exec /proc/self/exe: operation not", "other": "<nil>", "own": "<nil>", "rename": "<nil>",
			"read": "<nil>", "sysctl": "<nil>"}},
		{"calls, exec", map[string]string{"mount": "operation not permitted", "setns": "operation not permitted",
			"exec": "<nil>"}},
		{"files", map[string]string{"own": "<nil>", "rename": "<nil>", "file": "<nil>", "other": "open",
			"read": "<nil>", "sysctl": "<nil>"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"own/sub", "other"} {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program)
			cmd.Env = []string{"SANDBOX_TEST=" + tt.what, "SANDBOX_DIR=" + dir}
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "landlock: function not implemented") ||
				strings.Contains(string(out), "landlock: operation not supported") {
				t.Skip("needs Landlock in the kernel: lsm=landlock,…")
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := map[string]string{}
			for line := range strings.Lines(string(out)) {
				what, result, _ := strings.Cut(strings.TrimSpace(line), " ")
				got[what] = result
			}
			for what, want := range tt.want {
				if !strings.HasPrefix(got[what], want) {
					t.Errorf("%s: %q, want %q", what, got[what], want)
				}
			}
		})
	}
}

// TestFilter runs the filter on every number of a system call.
func TestFilter(t *testing.T) {
	raw, err := filter(denied)
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("not a program")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	deny := map[uint32]bool{}
	for _, nr := range denied {
		deny[nr] = true
	}
	result := func(nr, arch uint32) int {
		b := make([]byte, 64) // the VM reads in network order, the kernel in its own
		for i, v := range []uint32{nr, arch} {
			b[4*i], b[4*i+1], b[4*i+2], b[4*i+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
		}
		n, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for nr := range uint32(600) {
		want := unix.SECCOMP_RET_ALLOW
		if deny[nr] {
			want = int(errno)
		}
		if got := result(nr, auditArch); got != want {
			t.Errorf("call %d: %#x, want %#x", nr, got, want)
		}
		if got := result(nr, auditArch+1); got != int(errno) {
			t.Errorf("call %d of another architecture: %#x", nr, got)
		}
		if got := result(nr|1<<30, auditArch); got != int(errno) {
			t.Errorf("x32 call %d: %#x", nr, got)
		}
	}
	if deny[unix.SYS_BPF] || deny[unix.SYS_SENDMMSG] || !deny[unix.SYS_PTRACE] {
		t.Error("the list is wrong")
	}
}

func TestBecomeUser(t *testing.T) {
	if ok, err := BecomeUser("there-is-no-such-user"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := BecomeUser("root"); os.Getuid() == 0 && err == nil {
		t.Error("root is no other user")
	}
}
