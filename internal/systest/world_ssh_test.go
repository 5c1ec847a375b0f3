// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// An sshWorld is a world whose box is worked on from peer, by OpenSSH through the NIC that has the address.
type sshWorld struct {
	*world
	sshd *lab.SSHD
}

func newSSHWorld(t testing.TB, o worldOptions) *sshWorld {
	t.Helper()
	if err := lab.HasSSHD(); err != nil {
		labtest.Tool(t, "/usr/sbin/sshd", "openssh-server openssh-client")
		labtest.Tool(t, "ssh", "openssh-client")
	}
	w := &sshWorld{world: newWorld(t, o)}
	env := map[string]string{"PATH": filepath.Dir(program(t)) + ":" + os.Getenv("PATH")}
	if !o.Asks {
		env["NICTEAM_LINK_WATCH"] = "carrier"
	}
	var err error
	w.sshd, err = lab.NewSSHD(w.box, env)
	labtest.Must(t, err)
	return w
}

// A login is an interactive shell of box, with a terminal.
type login struct {
	t    testing.TB
	ssh  *lab.Command
	keys io.WriteCloser

	mu    sync.Mutex
	shown bytes.Buffer // and not yet read
	ended bool
}

// login opens a shell from peer.
func (w *sshWorld) login() *login {
	w.t.Helper()
	l := &login{t: w.t, ssh: w.sshd.Login(w.peer, box4.String(), true, "stty -echo; PS1= exec sh")}
	var err error
	l.keys, err = l.ssh.StdinPipe()
	labtest.Must(w.t, err)
	l.ssh.Stdout, l.ssh.Stderr = l, l
	labtest.Must(w.t, l.ssh.Start())
	done := make(chan struct{})
	go func() {
		_ = l.ssh.Wait()
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		close(done)
	}()
	w.t.Cleanup(func() { _ = l.ssh.Process.Kill(); <-done })
	l.run("true")
	return l
}

// Write takes what the terminal shows.
func (l *login) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown.Write(b)
}

// press sends keys.
func (l *login) press(keys string) {
	l.t.Helper()
	if _, err := io.WriteString(l.keys, keys); err != nil {
		l.t.Fatalf("type %q: %v", keys, err)
	}
}

// expect waits until the terminal shows what an expression matches, and returns what it showed up to its end, and the
// groups.
func (l *login) expect(expression string) (shown string, groups []string) {
	l.t.Helper()
	want := regexp.MustCompile(expression)
	for end := time.Now().Add(labtest.Patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		text := bytes.ReplaceAll(l.shown.Bytes(), []byte("\r"), nil)
		at := want.FindSubmatchIndex(text)
		ended := l.ended
		if at != nil {
			for i := 2; i < len(at); i += 2 {
				groups = append(groups, string(text[at[i]:at[i+1]]))
			}
			shown = string(text[:at[1]])
			rest := bytes.Clone(text[at[1]:])
			l.shown.Reset()
			l.shown.Write(rest)
		}
		l.mu.Unlock()
		switch {
		case at != nil:
			return shown, groups
		case ended:
			l.t.Fatalf("the session ended before it showed %s: %s", expression, text)
		case time.Now().After(end):
			l.t.Fatalf("the terminal does not show %s: %s", expression, text)
		}
	}
}

// begin types a command whose end awaitEnd awaits.
func (l *login) begin(command string) {
	l.t.Helper()
	l.press(command + "; echo \"[exit $?]\"\n")
}

func (l *login) awaitEnd() result {
	l.t.Helper()
	shown, code := l.expect(`\[exit (\d+)\]\n`)
	n, err := strconv.Atoi(code[0])
	labtest.Must(l.t, err)
	return result{Out: shown, Code: n}
}

// run types a command and waits for its end.
func (l *login) run(command string) result {
	l.t.Helper()
	l.begin(command)
	return l.awaitEnd()
}

// ok is run of what must succeed.
func (l *login) ok(command string) string {
	l.t.Helper()
	r := l.run(command)
	if r.Code != 0 {
		l.t.Fatalf("%s: exit %d\n%s", command, r.Code, r.Out)
	}
	return r.Out
}

// pulseInterval is the time between two lines of a pulse.
const pulseInterval = 100 * time.Millisecond

// pulse opens a session that echoes a line every pulseInterval.
func (w *sshWorld) pulse() *connection {
	w.t.Helper()
	cmd := w.sshd.Login(w.peer, box4.String(), false, "exec cat")
	in, err := cmd.StdinPipe()
	labtest.Must(w.t, err)
	out, err := cmd.StdoutPipe()
	labtest.Must(w.t, err)
	labtest.Must(w.t, cmd.Start())
	c := &connection{name: "ssh"}
	var done sync.WaitGroup
	done.Go(func() { c.readAll(out) })
	done.Go(func() {
		for n := 0; ; n++ {
			if _, err := fmt.Fprintf(in, "line %9d\n", n); err != nil {
				return
			}
			time.Sleep(pulseInterval)
		}
	})
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		done.Wait()
		_ = cmd.Wait()
	})
	return c
}

// checkPulse fails the test unless the session goes on.
func (w *sshWorld) checkPulse(when string, c *connection) {
	w.t.Helper()
	checkProgress(w.t, when, []*connection{c})
}
