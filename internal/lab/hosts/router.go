// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"nicteam/internal/lab"
)

const bridge = "br0"

func tapName(nic int) string { return fmt.Sprintf("nic%d", nic) }

// A router is a network namespace with a bridge that the machine's NICs are connected to, and dnsmasq.
type router struct {
	*lab.Host
	dir string
	key string // private key of the login sessions

	mu   sync.Mutex
	read int // what Acknowledged has read of the server's log
}

var _ network = (*router)(nil)

func newRouter(dir, key string) (*router, error) {
	h, err := lab.NewHost("router")
	if err != nil {
		return nil, err
	}
	r := &router{Host: h, dir: dir, key: key}
	if err := r.setUp(); err != nil {
		h.Close()
		return nil, fmt.Errorf("router: %w", err)
	}
	return r, nil
}

func (r *router) setUp() error {
	lines := []string{
		"link add " + bridge + " type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
		// The same router in each run, as a machine that goes on from a snapshot expects.
		"link set " + bridge + " address 52:54:00:77:00:fe up",
		"addr add " + router4 + "/24 dev " + bridge,
		"addr add " + router6 + "/64 dev " + bridge + " nodad",
		"addr add " + outside4 + "/32 dev lo",
		"addr add " + outside6 + "/128 dev lo",
	}
	for i := range nicCount {
		lines = append(lines, "tuntap add "+tapName(i)+" mode tap vnet_hdr",
			"link set "+tapName(i)+" master "+bridge+" up")
	}
	for _, l := range lines {
		if out, err := r.Command("ip", strings.Fields(l)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", l, err, out)
		}
	}
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }
	args := []string{"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--interface=" + bridge,
		"--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping", "--dhcp-authoritative", "--log-dhcp",
		"--log-facility=" + r.log(), "--pid-file=", "--dhcp-leasefile=" + filepath.Join(r.dir, "leases"),
		"--dhcp-range=10.77.0.100,10.77.0.199," + seconds(leaseTime),
		"--dhcp-option=58," + strconv.Itoa(int(renewalTime.Seconds())), "--enable-ra",
		"--dhcp-range=fd77::,ra-only,64," + seconds(leaseTime), "--ra-param=" + bridge + ",10,60",
		"--domain=test", "--local-ttl=0", "--address=/" + probeDomain + "/" + outside4,
	}
	for i := range nicCount {
		args = append(args, "--dhcp-host="+mac(i)+","+lease(i))
	}
	server := r.Command("dnsmasq", args...)
	if err := server.Start(); err != nil {
		return fmt.Errorf("start dnsmasq: %w", err)
	}
	go func() { _ = server.Wait() }()
	return nil
}

func (r *router) log() string { return filepath.Join(r.dir, "dnsmasq.log") }

// pingAnswer is a line of ping -D.
var pingAnswer = regexp.MustCompile(`^\[(\d+\.\d+)\] .*bytes from.*icmp_seq`)

func (r *router) Ping(address string) (func() []time.Time, error) {
	source := outside4
	if strings.Contains(address, ":") {
		source = outside6
	}
	// From an address behind the machine's default route, which the answers need.
	cmd := r.Command("ping", "-n", "-D", "-i", fmt.Sprint(pingInterval.Seconds()), "-W", "2", "-I", source, address)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("ping %s: %w", address, err)
	}
	return func() []time.Time {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return parsePing(out.String())
	}, nil
}

func parsePing(out string) (answers []time.Time) {
	for l := range strings.Lines(out) {
		if m := pingAnswer.FindStringSubmatch(l); m != nil {
			if s, err := strconv.ParseFloat(m[1], 64); err == nil {
				answers = append(answers, time.UnixMicro(int64(s*1e6)))
			}
		}
	}
	return answers
}

func (r *router) ssh(ctx context.Context, address string, args ...string) *lab.Command {
	return r.CommandContext(ctx, "ssh", append([]string{"-F", "none", "-i", r.key, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30", "-o", "BatchMode=yes",
		"root@" + address}, args...)...)
}

func (r *router) Login(ctx context.Context, address, command string, limit time.Duration) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := r.ssh(ctx, address, "-tt", command)
	out, err := cmd.CombinedOutput()
	text := strings.ReplaceAll(string(out), "\r\n", "\n")
	exit := (*exec.ExitError)(nil)
	switch {
	case ctx.Err() != nil:
		return text, -1, fmt.Errorf("ssh: %s: still running after %v", command, limit)
	case errors.As(err, &exit):
		// 255 is ssh's own, and then the network's.
		return text, exit.ExitCode(), nil
	}
	return text, 0, err
}

// sessionLimit is how long a login may take on an emulated processor that others use as well: without any team it took
// longer than 45 s at a load of 24.
const sessionLimit = 2 * time.Minute

func (r *router) Session(address string) (func() ([]time.Time, bool), error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := r.ssh(ctx, address, "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("ssh: %w", err)
	}
	var mu sync.Mutex
	var answers []time.Time
	over, open := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(over)
		for s := bufio.NewScanner(out); s.Scan(); {
			mu.Lock()
			answers = append(answers, time.Now())
			mu.Unlock()
			select {
			case open <- struct{}{}:
			default:
			}
		}
	}()
	go func() {
		tick := time.NewTicker(sessionInterval)
		defer tick.Stop()
		for n := 0; ; n++ {
			if _, err := fmt.Fprintln(in, n); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}()
	stop := func() ([]time.Time, bool) {
		alive := true
		select {
		case <-over:
			alive = false
		default:
		}
		cancel()
		<-over
		_ = cmd.Wait()
		mu.Lock()
		defer mu.Unlock()
		return answers, alive
	}
	// Keys and login take seconds on an emulated processor.
	select {
	case <-open:
		return stop, nil
	case <-over:
	case <-time.After(sessionLimit):
	}
	stop()
	return nil, fmt.Errorf("login session to %s: none", address)
}

// Acknowledged reads on in the server's log. dnsmasq writes local times without a year.
func (r *router) Acknowledged(address string) (times []time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := os.ReadFile(r.log())
	if err != nil || len(b) < r.read {
		return nil
	}
	fresh := string(b[r.read:])
	r.read = len(b)
	return parseAcknowledged(fresh, address, time.Now().Year())
}

func parseAcknowledged(log, address string, year int) (times []time.Time) {
	for l := range strings.Lines(log) {
		if !strings.Contains(l, "DHCPACK(") || !strings.Contains(l, " "+address+" ") || len(l) < 15 {
			continue
		}
		if t, err := time.ParseInLocation("Jan _2 15:04:05", l[:15], time.Local); err == nil {
			times = append(times, t.AddDate(year, 0, 0))
		}
	}
	return times
}
