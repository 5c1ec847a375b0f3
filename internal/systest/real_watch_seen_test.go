// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestWatchesAreSeen: what link watches find of a NIC whose light is on is said by every command that shows NICs, live
// on a terminal too; so is that one waits because it flapped.
func TestWatchesAreSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{NICs: 3, Asks: true})
	w.sh("ip route add default via 10.9.0.2")
	w.create(nics(3), "--probe-interval", "100ms")
	answers := func(s *api.Status, nic string) bool {
		m := memberOf(t, s, nic)
		return m.Watch != nil && len(m.Watch.Asked) > 0 && m.Watch.Asked[0].Answers && m.Watch.RTT > 0
	}
	w.await("answers by all", func(s *api.Status) bool {
		return answers(s, "eth1") && answers(s, "eth2") && answers(s, "eth3")
	})
	w.wires["eth2"].A.SwallowTx(true)
	w.awaitMember("eth2", "down")

	const why = "gateway 10.9.0.2 does not answer by eth2 ("
	w.says("status", teamName).has("  eth2 ", " down ", why)
	w.says("status", teamName, "-v").has("link watch auto", "gateway 10.9.0.2  yes", "gateway 10.9.0.2  no")
	w.says("list").has("team team0, not used (" + why)
	w.says("explain", teamName, "tcp 10.9.0.1:5000 10.9.0.2:80").has("not eth2: ", why)
	w.says("events", teamName).has("member-down eth2: " + why)
	w.says("watch", teamName, "--once").has("no answer", "eth2: "+why)
	w.says("watch", teamName, "--plain", "--once").has("eth2, 1 Gbit/s, no answer", why, "round trip")
	w.says("watch", teamName+"/eth2", "--once").has("gateway 10.9.0.2 does not answer · ")
	w.says("metrics").has(`nicteam_member_verdict{member="eth2",team="team0",verdict="down"} 1`,
		`nicteam_probe_answers{member="eth1",target="10.9.0.2",team="team0",vlan="",watch="auto"} 1`,
		`nicteam_probe_rtt_seconds{member="eth1",`, `nicteam_probe_loss_ratio{member="eth2",`)
	w.onTerminal("no answer", "eth2: "+why, "watch", teamName)
	w.wires["eth2"].A.SwallowTx(false)
	w.awaitMember("eth2", "up")

	for range 3 {
		labtest.Must(t, w.wires["eth3"].Cut())
		w.awaitMember("eth3", "down")
		labtest.Must(t, w.wires["eth3"].Mend())
		w.await("eth3 is up or damped", func(s *api.Status) bool {
			m := memberOf(t, s, "eth3")
			return m.State == "up" || m.Link && m.Damped != nil
		})
	}
	w.says("status", teamName).has("flapped 3 times in 60 s, back in ")
	w.says("watch", teamName, "--once").has("damped", "eth3: flapped 3 times in 60 s, back in ")
	w.says("metrics").has(`nicteam_member_damped{member="eth3",team="team0"} 1`)
	w.set("undamp=eth3")
	w.awaitMember("eth3", "up")
	w.says("events", teamName).has("member-damped eth3: flapped 3 times in 60 s, back in ")
}

// said is the output of a command.
type said struct {
	t         testing.TB
	what, out string
}

func (w *world) says(args ...string) said {
	w.t.Helper()
	return said{w.t, strings.Join(args, " "), w.nicteam(args...)}
}

func (s said) has(parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(s.out, part) {
			s.t.Errorf("%s does not say %q:\n%s", s.what, part, s.out)
		}
	}
}

// onTerminal runs a command on a terminal of 110 × 30 until both texts are on its screen, and ends it by the key q.
func (w *world) onTerminal(text, more string, args ...string) {
	w.t.Helper()
	master, slave := openTerminal(w.t, 110, 30)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := w.box.CommandContext(ctx, program(w.t), args...)
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	labtest.Must(w.t, cmd.Start())
	labtest.Must(w.t, slave.Close())
	var mu sync.Mutex
	var screen bytes.Buffer
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			mu.Lock()
			screen.Write(b[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	labtest.Eventually(w.t, fmt.Sprintf("%q and %q on the terminal", text, more), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(screen.String(), text) && strings.Contains(screen.String(), more)
	})
	_, err := master.WriteString("q")
	labtest.Must(w.t, err)
	labtest.Must(w.t, cmd.Wait())
}

// openTerminal returns both ends of a pseudo terminal.
func openTerminal(t testing.TB, columns, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	labtest.Must(t, err)
	t.Cleanup(func() { _ = master.Close() })
	labtest.Must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	labtest.Must(t, err)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	labtest.Must(t, err)
	labtest.Must(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
	return master, slave
}
