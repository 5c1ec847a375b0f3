// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// sh runs a shell script in box.
func (w *world) sh(script string) string {
	w.t.Helper()
	out, err := w.box.Command("sh", "-ec", labtest.Script(script)).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

// configureHost gives box's NICs everything that a team could lose, besides the addresses of eth1.
func (w *world) configureHost() {
	w.t.Helper()
	labtest.Tool(w.t, "ip", "iproute2")
	w.sh(`
		if [ -e /proc/sys/net/ipv6/conf/eth3 ]; then echo 1 >/proc/sys/net/ipv6/conf/eth3/accept_dad; fi
		ip link set eth1 mtu 1450
		ip addr add 10.9.0.11/24 dev eth1 label eth1:web
		ip addr add 10.9.0.12/24 dev eth1
		ip addr add 10.9.1.1/24 dev eth1 valid_lft 3600 preferred_lft 1800
		ip addr add 10.9.4.1 peer 10.9.4.2/32 dev eth1
		ip addr add 10.9.3.1/24 dev eth1 noprefixroute
		ip addr add 10.9.5.1/24 dev eth1 metric 50
		ip -6 addr add fd09::11/64 dev eth1 nodad
		ip -6 addr add fe80::9:1/64 dev eth1 nodad
		ip -6 addr add fd09:1::1/64 dev eth1 nodad valid_lft 3600 preferred_lft 1800
		ip addr add 10.8.0.1/24 dev eth2
		ip addr add 10.8.0.2/24 dev eth2
		ip -6 addr add fd08::1/64 dev eth2 nodad
		ip route add default via 10.9.0.2 dev eth1 proto static metric 100 mtu 1300
		ip route add 10.20.0.0/16 via 10.9.0.2 dev eth1 src 10.9.0.11 metric 7
		ip route add 10.21.0.0/16 via 192.0.2.1 dev eth1 onlink table 77
		ip route add 10.22.0.0/16 nexthop via 10.9.0.2 dev eth1 weight 2 nexthop via 10.8.0.253 dev eth2 weight 3
		ip route add 10.24.0.0/16 dev eth2 scope link table 1000
		ip -6 route add default via fd09::2 dev eth1 metric 1024
		ip -6 route add fd20::/32 via fd09::2 dev eth1 src fd09::11
		ip -6 route add fd21::/32 via fd08::fd dev eth2 table 77
		ip -6 route add fd22::/32 nexthop via fd09::fd dev eth1 nexthop via fd08::fd dev eth2
		ip rule add pref 100 iif eth1 lookup 77
		ip rule add pref 103 not iif eth1 lookup 79
		ip rule add pref 102 from 10.9.0.11 lookup 77
		ip -6 rule add pref 101 oif eth2 lookup 78
		ip neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev eth1 nud permanent
		ip -6 neigh add fd09::c8 lladdr 02:00:00:00:00:c8 dev eth1 nud permanent
		ip neigh add 10.8.0.200 lladdr 02:00:00:00:00:c9 dev eth2 nud permanent
		ip neigh add proxy 10.9.0.201 dev eth1
		ip neigh add proxy fd08::c9 dev eth2
		echo 1 >/proc/sys/net/ipv4/conf/eth1/arp_ignore
		echo 2 >/proc/sys/net/ipv4/conf/eth1/rp_filter
		echo 3 >/proc/sys/net/ipv6/conf/eth1/dad_transmits
		echo 2 >/proc/sys/net/ipv6/conf/eth2/accept_ra
		if [ -e /proc/sys/net/ipv6/conf/eth3 ]; then echo 1 >/proc/sys/net/ipv6/conf/eth3/disable_ipv6; fi
		if command -v ethtool >/dev/null; then ethtool -K eth1 gro on tso off >/dev/null; fi`)
}

// carrierTime is more than the kernel delays a carrier event (linkwatch).
const carrierTime = 2500 * time.Millisecond

// state is what must be unchanged in box: the snapshot of the lab and, where order counts, the output of ip.
type state struct {
	all     lab.Snapshot
	ordered string
}

func (w *world) state() state {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	s, err := lab.SettledSnapshot(ctx, w.box)
	labtest.Must(w.t, err)
	if _, err := w.box.Command("ip", "-V").Output(); err != nil {
		return state{all: s}
	}
	return state{s,
		w.sh(
			`ip -br addr show; ip -4 rule show; ip -6 rule show; ip -4 route show table main; ip -4 route show table 77 2>/dev/null || true`)}
}

// checkUnchanged fails the test unless box is as before, at the latest when carrier events have arrived.
func (w *world) checkUnchanged(when string, before state) {
	w.t.Helper()
	after := w.state()
	for end := time.Now().Add(carrierTime); time.Now().Before(end) &&
		(lab.Diff(before.all, after.all) != "" || before.ordered != after.ordered); {
		after = w.state()
	}
	if d := lab.Diff(before.all, after.all); d != "" {
		w.t.Errorf("%s: box is not as it was:\n%s", when, d)
	}
	if before.ordered != after.ordered {
		w.t.Errorf("%s: box's lists were\n%s\nand are\n%s", when, before.ordered, after.ordered)
	}
}

// checkNoFiles fails the test if the team left a file.
func (w *world) checkNoFiles(when string) {
	w.t.Helper()
	for _, dir := range []string{"/run/nicteam", "/var/lib/nicteam", "/etc/nicteam"} {
		entries, err := os.ReadDir(w.box.Path(dir))
		labtest.Must(w.t, err)
		for _, e := range entries {
			w.t.Errorf("%s: %s/%s is left", when, dir, e.Name())
		}
	}
}

// errorLines returns the error of a command, without the warnings before it.
func errorLines(r result) []string {
	lines := strings.Split(strings.TrimSuffix(r.Err, "\n"), "\n")
	for len(lines) > 0 && strings.HasPrefix(lines[0], "warning: ") {
		lines = lines[1:]
	}
	return lines
}

// checkRefused fails the test unless a command ended with that code and an error in three lines that contains the
// words.
func checkRefused(t testing.TB, r result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit %d, want %d: %s%s", r.Code, code, r.Out, r.Err)
	}
	lines := errorLines(r)
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "error: ") || !strings.HasPrefix(lines[1], "why: ") ||
		!strings.HasPrefix(lines[2], "fix: ") {
		t.Errorf("stderr is not error, why and fix:\n%s", r.Err)
	}
	for _, word := range words {
		if !strings.Contains(r.Err, word) {
			t.Errorf("no %q in:\n%s", word, r.Err)
		}
	}
}

// processes returns the IDs of processes of box whose command line contains a word.
func (w *world) processes(word string) []int {
	w.t.Helper()
	var mine, st unix.Stat_t
	labtest.Must(w.t, unix.Fstat(w.box.NetNS(), &mine))
	entries, err := os.ReadDir("/proc")
	labtest.Must(w.t, err)
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || unix.Stat("/proc/"+e.Name()+"/ns/net", &st) != nil || st.Ino != mine.Ino {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if strings.Contains(strings.ReplaceAll(string(b), "\x00", " "), word) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// teamProcess returns the ID of the process of the team.
func (w *world) teamProcess() int {
	w.t.Helper()
	pids := w.processes(" run " + teamName)
	if len(pids) != 1 {
		w.t.Fatalf("processes of the team: %v", pids)
	}
	return pids[0]
}

// keeper returns the process ID of the team's keeper, 0 if there is none.
func (w *world) keeper() int {
	if pids := w.processes(" keeper " + teamName); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

// killKeeper kills the team's keeper, if there is one: nobody starts the team again when its process dies.
func (w *world) killKeeper() {
	w.t.Helper()
	if pid := w.keeper(); pid != 0 {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			w.t.Fatalf("kill %d: %v", pid, err)
		}
		w.awaitEnd(pid)
	}
}

// kill kills a process of box, by SIGKILL its keeper before it, and waits until it is gone. Process 1 of the lab reaps
// orphans.
func (w *world) kill(pid int, sig unix.Signal) {
	w.t.Helper()
	if sig == unix.SIGKILL {
		w.killKeeper()
	}
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		w.t.Fatalf("kill %d: %v", pid, err)
	}
	w.awaitEnd(pid)
}

// awaitEnd waits until a process is gone: a zombie may still have threads that hold its descriptors.
func (w *world) awaitEnd(pid int) {
	w.t.Helper()
	labtest.Eventually(w.t, fmt.Sprintf("process %d ends", pid), func() bool {
		return errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	})
}

// supervised is `nicteam run` as a service manager starts it.
type supervised struct {
	*lab.Command
	done chan error
	log  *strings.Builder // complete when done has delivered
}

// ended waits for the process and fails the test if it failed.
func (s *supervised) ended(t testing.TB, by string) {
	t.Helper()
	if err := <-s.done; err != nil {
		t.Errorf("run, ended by %s: %v\n%s", by, err, s.log.String())
	}
}

// supervise starts the team's process in the foreground and waits until it answers.
func (w *world) supervise(more ...string) *supervised {
	w.t.Helper()
	return w.superviseFile(program(w.t), more...)
}

// superviseFile is supervise of another file with the program.
func (w *world) superviseFile(file string, more ...string) *supervised {
	w.t.Helper()
	s := &supervised{w.box.Command(file, append([]string{"run", teamName}, more...)...), make(chan error, 1),
		&strings.Builder{}}
	s.Stdout, s.Stderr = s.log, s.log
	labtest.Must(w.t, s.Start())
	ended := make(chan struct{})
	go func() { s.done <- s.Wait(); close(ended) }()
	w.t.Cleanup(func() { _ = s.Process.Kill(); <-ended })
	labtest.Eventually(w.t, "the process answers", func() bool {
		select {
		case <-ended:
			w.t.Fatalf("nicteam run ended: %s", s.log.String())
		default:
		}
		_, err := tryAsk(w.box, teamName, (*control.Client).Status)
		return err == nil
	})
	return s
}

// within runs f and fails the test if it takes longer.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("not within %v: %s", d, what)
	}
}
