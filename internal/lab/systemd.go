// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Systemd is Debian's systemd as process 1 of a host: in process, mount, control group and IPC namespaces of its own,
// with a root directory of its own that has the machine's /usr. It knows the targets of a boot and the units that it is
// given, and no other unit of the machine.
//
//	DIR/etc, DIR/var   stay for the next boot
//	/run, /tmp         empty at each boot
//	/usr/local         the program
type Systemd struct {
	host *Host
	dir  string // the root directory, as the host sees it
	boot *Command
	pid  int // of process 1, as this process sees it
	log  string

	distribution string // "" for the machine's /usr
}

// SystemdOptions are files by their path: text, or with Programs the files to copy.
type SystemdOptions struct {
	Files    map[string]string
	Programs map[string]string
	// Distribution is a directory with a whole system, its systemd included, in place of the machine's /usr. It is not
	// changed: what the host writes is a layer above it. Its own units are not there.
	Distribution string
}

const (
	systemdBinary = "/lib/systemd/systemd"
	systemdUnits  = "/etc/systemd/system/"
	// systemdTime bounds a boot and a shutdown.
	systemdTime = 20 * time.Second
)

// ErrNoControlGroups: the machine lets nobody mount control groups v2.
var ErrNoControlGroups = errors.New("no control groups v2 in /sys/fs/cgroup")

// HasSystemd returns an error that says what is missing and where it comes from.
func HasSystemd() error {
	if _, err := os.Stat(systemdBinary); err != nil {
		return fmt.Errorf("systemd: %w (apt-get install systemd)", err)
	}
	for _, tool := range []string{"unshare", "nsenter", "chroot", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("systemd: %w (apt-get install util-linux coreutils)", err)
		}
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err != nil {
		return fmt.Errorf("systemd: %w: %w", ErrNoControlGroups, err)
	}
	return nil
}

// systemdTargets are the targets of a boot and a shutdown.
var systemdTargets = []string{"sysinit", "basic", "network-pre", "network", "network-online", "shutdown", "umount",
	"final", "sockets", "timers", "paths", "slices", "remote-fs", "local-fs", "rescue", "emergency", "nss-lookup"}

// NewSystemd boots systemd in a host. It ends with Close, or with the host.
func NewSystemd(h *Host, o SystemdOptions) (*Systemd, error) {
	if err := HasSystemd(); err != nil {
		return nil, err
	}
	s := &Systemd{host: h, dir: filepath.Join(h.dir, "root"), distribution: o.Distribution}
	if err := s.install(o); err != nil {
		return nil, fmt.Errorf("systemd: %w", err)
	}
	h.deferClose(s.Close)
	if err := s.Boot(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Path is where the file that systemd sees as p is for this process; nothing of /run, /tmp and /usr, and of a
// distribution what was written.
func (s *Systemd) Path(p string) string { return filepath.Join(s.dir, p) }

// Write writes a file of the root directory.
func (s *Systemd) Write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(s.Path(path)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.Path(path), []byte(text), 0o644)
}

func (s *Systemd) install(o SystemdOptions) error {
	if s.distribution != "" {
		for _, d := range []string{s.dir, s.dir + ".work", s.dir + ".all", s.dir + ".units"} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		return s.furnish(o, nil)
	}
	for _, d := range []string{"usr", "local/bin", "local/sbin", "etc", "dev", "proc", "sys", "run", "tmp", "root",
		"var/lib", "var/log"} {
		if err := os.MkdirAll(s.Path(d), 0o755); err != nil {
			return err
		}
	}
	for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
		if _, err := os.Stat("/" + l); err == nil {
			if err := os.Symlink("usr/"+l, s.Path(l)); err != nil {
				return err
			}
		}
	}
	return s.furnish(o, map[string]string{
		"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
		"/etc/group":         "root:x:0:\nnogroup:x:65534:\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\n",
		"/etc/os-release":    "ID=debian\n",
	})
}

// furnish writes what each host needs, what this one needs besides, and what it was given.
func (s *Systemd) furnish(o SystemdOptions, besides map[string]string) error {
	files := map[string]string{
		"/etc/machine-id": fmt.Sprintf("%032x\n", time.Now().UnixNano()),
		"/etc/systemd/system.conf": "[Manager]\nLogTarget=console\nDefaultStandardOutput=null\n" +
			"DefaultStandardError=null\n",
		systemdUnits + "multi-user.target": "[Unit]\nDefaultDependencies=no\nRequires=basic.target\n" +
			"After=basic.target network.target\n",
		systemdUnits + "poweroff.target": "[Unit]\nDefaultDependencies=no\nRequires=systemd-poweroff.service\n" +
			"After=systemd-poweroff.service\n",
		systemdUnits + "systemd-poweroff.service": "[Unit]\nDefaultDependencies=no\nRequires=shutdown.target " +
			"umount.target final.target\nAfter=shutdown.target umount.target final.target\n" +
			"SuccessAction=poweroff-force\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
	}
	for _, t := range systemdTargets {
		files[systemdUnits+t+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	maps.Copy(files, besides)
	maps.Copy(files, o.Files)
	for path, text := range files {
		if err := s.Write(path, text); err != nil {
			return err
		}
	}
	if err := os.Symlink("multi-user.target", s.Path(systemdUnits+"default.target")); err != nil {
		return err
	}
	for path, from := range o.Programs {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(s.Path(strings.TrimPrefix(path, "/usr")), b, 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// systemdBoot gets the root directory, and the distribution or "".
const systemdBoot = `set -e
mount --make-rprivate /
r=$1
units=/etc/systemd/system
if [ "$2" ]; then
	mount -t overlay -o lowerdir=$2,upperdir=$r,workdir=$r.work overlay $r.all
	mount --bind $r.units $r.all/usr/lib/systemd/system
	r=$r.all
	units=$units:/usr/lib/systemd/system
else
	mount --bind $r $r
	mount --rbind /usr $r/usr
	mount --bind $r/local $r/usr/local
fi
mount --rbind /dev $r/dev
mount -t proc proc $r/proc
mount -t sysfs sysfs $r/sys
mount -t cgroup2 cgroup2 $r/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs $r/run
mount -t tmpfs tmpfs $r/tmp
exec chroot $r env -i container=lab PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
	SYSTEMD_UNIT_PATH=$units ` + systemdBinary + ` --system --log-target=console --show-status=no
`

// cgroup is the control group of the host's systemd. Programs that run at the same time have hosts of the same name:
// each counts from its own process ID, in a namespace of its own.
func (s *Systemd) cgroup() string {
	return fmt.Sprintf("/sys/fs/cgroup/%s-%d", s.host.Name, s.host.inode)
}

// Boot starts systemd, and returns when multi-user.target is reached.
func (s *Systemd) Boot() error {
	if err := os.Mkdir(s.cgroup(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("systemd: %w", err)
	}
	s.log = filepath.Join(s.host.dir, "systemd.log")
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	defer log.Close()
	s.boot = s.host.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --fork --kill-child `+
		`--ipc --cgroup sh -c "$1" boot "$2" "$3"`, s.cgroup(), systemdBoot, s.dir, s.distribution)
	s.boot.Stdout, s.boot.Stderr = log, log
	if err := s.boot.Start(); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemdTime)
	defer cancel()
	for s.pid = 0; ; time.Sleep(5 * time.Millisecond) {
		if s.pid == 0 {
			s.pid = s.process1()
		}
		if s.pid != 0 && s.CommandContext(ctx, "systemctl", "is-active", "-q", "multi-user.target").Run() == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("systemd: it does not come up: %w\n%s", ctx.Err(), s.Log())
		}
	}
}

// process1 finds systemd among the descendants of the command that starts it; 0: it is not there yet.
func (s *Systemd) process1() int {
	pid := s.boot.Process.Pid
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
	if strings.TrimSpace(string(comm)) != "systemd" {
		return 0
	}
	return child
}

// Log is what systemd wrote.
func (s *Systemd) Log() string {
	b, _ := os.ReadFile(s.log)
	return string(b)
}

// CommandContext prepares a process beside systemd, as an administrator's shell starts it.
func (s *Systemd) CommandContext(ctx context.Context, name string, args ...string) *Command {
	enter := []string{"-t", strconv.Itoa(s.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i",
		"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "NO_COLOR=1", name}
	return s.host.CommandContext(ctx, "nsenter", append(enter, args...)...)
}

// Systemctl runs systemctl and returns what it printed, without white space around.
func (s *Systemd) Systemctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	c := s.CommandContext(ctx, "systemctl", append([]string{"--no-pager"}, args...)...)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

// Shutdown powers the host off as an administrator does: what runs is stopped. The devices of the host stay.
func (s *Systemd) Shutdown() error {
	if _, err := s.Systemctl("--no-block", "start", "poweroff.target", "--job-mode=replace-irreversibly"); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.boot.Wait() }()
	select {
	case <-ended:
		s.boot, s.pid = nil, 0
		return nil
	case <-time.After(systemdTime):
		return fmt.Errorf("systemd does not shut down\n%s", s.Log())
	}
}

// Close ends systemd and all that it started, at once, as a power failure does.
func (s *Systemd) Close() error {
	if s.boot != nil {
		_ = s.boot.Process.Signal(syscall.SIGKILL)
		_ = s.boot.Wait()
		s.boot, s.pid = nil, 0
	}
	_ = os.WriteFile(filepath.Join(s.cgroup(), "cgroup.kill"), []byte("1"), 0)
	for range 100 {
		// The deepest first.
		var groups []string
		_ = filepath.WalkDir(s.cgroup(), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for i := len(groups) - 1; i >= 0; i-- {
			_ = unix.Rmdir(groups[i])
		}
		if len(groups) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("systemd: control group %s stays", s.cgroup())
}
