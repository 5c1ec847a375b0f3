// SPDX-License-Identifier: MIT

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SSHD is OpenSSH's sshd in a host, with keys, configuration and users of its own. It lets root in by key, and knows
// and writes nothing of the machine's.
type SSHD struct {
	dir  string
	env  map[string]string
	sshd *Command
}

// sshdBinary: sshd starts itself again by this path.
const sshdBinary = "/usr/sbin/sshd"

// HasSSHD returns an error that says what is missing and where it comes from.
func HasSSHD() error {
	if _, err := os.Stat(sshdBinary); err != nil {
		return fmt.Errorf("sshd: %w (apt-get install openssh-server)", err)
	}
	for _, tool := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("sshd: %w (apt-get install openssh-client)", err)
		}
	}
	return nil
}

// NewSSHD starts sshd in a host, at port 22 of all its addresses. Its sessions have the environment. It ends with the
// host.
func NewSSHD(h *Host, env map[string]string) (*SSHD, error) {
	if err := HasSSHD(); err != nil {
		return nil, err
	}
	s := &SSHD{dir: filepath.Join(h.dir, "ssh"), env: env}
	if err := s.install(h); err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	if err := s.start(h); err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	return s, nil
}

func (s *SSHD) path(name string) string { return filepath.Join(s.dir, name) }

func (s *SSHD) install(h *Host) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	// What it is compiled to change its root directory to.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return err
	}
	for _, key := range []string{"host", "user"} {
		make := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", s.path(key))
		if out, err := make.CombinedOutput(); err != nil {
			return fmt.Errorf("make key: %w: %s", err, out)
		}
	}
	public, err := os.ReadFile(s.path("host.pub"))
	if err != nil {
		return err
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"config": s.config(), "known": "lab " + string(public), "empty": "",
		"passwd": s.passwd(string(users)), "shadow": "root:*:1::::::\n",
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// The machine's root may be locked, or have a shell that greets. sshd writes down who has logged in.
	for path, name := range map[string]string{"/etc/passwd": "passwd", "/etc/shadow": "shadow",
		"/var/log/wtmp": "empty", "/var/log/lastlog": "empty"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if out, err := h.Command("mount", "--bind", s.path(name), path).CombinedOutput(); err != nil {
			return fmt.Errorf("hide %s: %w: %s", path, err, out)
		}
	}
	return nil
}

func (s *SSHD) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `HostKey %s
AuthorizedKeysFile %s
StrictModes no
PidFile none
UsePAM no
PermitUserRC no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintLastLog no
PrintMotd no
UseDNS no
MaxStartups 100
`, s.path("host"), s.path("user.pub"))
	// Only the first line with SetEnv counts.
	b.WriteString("SetEnv LC_ALL=C")
	for k, v := range s.env {
		fmt.Fprintf(&b, " %s=%s", k, v)
	}
	b.WriteString("\n")
	return b.String()
}

// passwd changes root's shell and home directory, and adds the user that sshd needs.
func (s *SSHD) passwd(users string) string {
	out := "root:x:0:0:root:" + s.dir + ":/bin/sh\n"
	for line := range strings.Lines(users) {
		if !strings.HasPrefix(line, "root:") && !strings.HasPrefix(line, "sshd:") {
			out += line
		}
	}
	return out + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
}

func (s *SSHD) start(h *Host) error {
	s.sshd = h.Command(sshdBinary, "-D", "-e", "-f", s.path("config"))
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.sshd.Stderr = w
	err = s.sshd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	go func() { _ = s.sshd.Wait() }()
	var said strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if strings.HasPrefix(lines.Text(), "Server listening on 0.0.0.0 ") {
			// Sessions write to it as well, until the host is closed.
			go func() { _, _ = io.Copy(io.Discard, r); r.Close() }()
			return nil
		}
	}
	r.Close()
	return errors.New("does not listen: " + said.String())
}

// Login prepares a session from another host at an address of this one, with a terminal or without, that runs a shell
// command. When the process is killed, the connection ends.
func (s *SSHD) Login(from *Host, at string, terminal bool, command string) *Command {
	args := []string{"-F", "none", "-i", s.path("user"), "-o", "UserKnownHostsFile=" + s.path("known"),
		"-o", "HostKeyAlias=lab", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"}
	if terminal {
		args = append(args, "-tt")
	}
	return from.Command("ssh", append(args, "root@"+at, command)...)
}
