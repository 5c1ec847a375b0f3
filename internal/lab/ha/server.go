// SPDX-License-Identifier: MIT

package ha

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	files "nicteam/testdata/ha"
)

// Server is a host with a team, eth1 and eth2 in it, and what runs on it.
type Server struct {
	*lab.Host
	Label    string // vs1, vsbak, real1, real2
	own      []string
	dir      string
	cables   map[string]*lab.Cable
	daemons  map[string]*daemon
	services *services // of a real server; nil while they do not run
}

// places are the directories that each server has of its own: below etc its configuration, below run what runs.
var places = []string{"/etc/keepalived", "/etc/conntrackd", "/etc/haproxy", "/etc/sysctl.d", "/run/keepalived",
	"/run/conntrackd", "/run/haproxy"}

// newServer makes a host with private places. Those below /etc are there if their package is installed.
func newServer(dir, label string, own []string) (*Server, error) {
	host, err := lab.NewHost(label)
	if err != nil {
		return nil, err
	}
	h := &Server{Host: host, Label: label, own: own, dir: filepath.Join(dir, label), cables: map[string]*lab.Cable{},
		daemons: map[string]*daemon{}}
	for _, p := range places {
		if strings.HasPrefix(p, "/run/") {
			err = os.MkdirAll(p, 0o755)
		} else if _, missing := os.Stat(p); missing != nil {
			continue
		}
		var mine string
		if err == nil {
			mine, err = h.stateDir(p)
		}
		if err == nil {
			err = h.run("mount", "--bind", mine, p)
		}
		if err != nil {
			return nil, errors.Join(err, host.Close())
		}
	}
	return h, nil
}

// close ends the services, and the host with all its processes.
func (h *Server) close() error {
	h.StopServices()
	return h.Host.Close()
}

// install copies files of testdata/ha to places below /etc. change changes keepalived's.
func (h *Server) install(list map[string]string, change func(string) string) error {
	for to, from := range list {
		b, err := files.Files.ReadFile(from)
		if err != nil {
			return err
		}
		path := filepath.Join(h.dir, "etc", to)
		if strings.HasSuffix(from, "keepalived.conf") {
			b = []byte(change(string(b)))
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644) // keepalived reads no file that can be executed
		if strings.HasSuffix(from, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(path, b, mode); err != nil {
			return err
		}
	}
	return nil
}

// keepalived changes a file of keepalived as its comments and docs/ha.md say.
func (o Options) keepalived(conf string) string {
	if o.VirtualMAC {
		conf = strings.ReplaceAll(conf, " dev team0", "")
		conf = strings.ReplaceAll(conf, "    interface team0\n", "    interface team0\n    use_vmac\n")
	}
	if o.PreemptDelay != "" {
		conf = strings.ReplaceAll(conf, "preempt_delay 5", "preempt_delay "+o.PreemptDelay)
	}
	if o.Advert == "" {
		return conf
	}
	return strings.NewReplacer("advert_int 1", "advert_int "+o.Advert, "down_timer_adverts 4",
		"down_timer_adverts 20").Replace(conf)
}

// Rules loads a file of testdata/ha into nftables.
func (h *Server) Rules(file string) error {
	b, err := files.Files.ReadFile(file)
	if err != nil {
		return err
	}
	c := h.Command("nft", "-f", "-")
	c.Stdin = bytes.NewReader(b)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: nft -f %s: %w: %s", h.Label, file, err, out)
	}
	return nil
}

func (h *Server) run(name string, args ...string) error {
	_, err := h.ask(name, args...)
	return err
}

func (h *Server) ask(name string, args ...string) (string, error) {
	out, err := h.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %s %s: %w: %s", h.Label, name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// daemon is a program that runs until it is ended.
type daemon struct {
	cmd   *lab.Command
	log   *logBuffer
	ended chan struct{}
}

// logBuffer keeps what a program writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a program under a name. What it wrote under this name before stays in the log.
func (h *Server) start(name, program string, args ...string) error {
	d := &daemon{cmd: h.Command(program, args...), log: &logBuffer{}, ended: make(chan struct{})}
	if old := h.daemons[name]; old != nil {
		d.log = old.log
	}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("%s: start %s: %w", h.Label, name, err)
	}
	go func() { defer close(d.ended); _ = d.cmd.Wait() }()
	h.daemons[name] = d
	return nil
}

// running reports whether a program has been started and has not ended.
func (h *Server) running(name string) bool {
	d := h.daemons[name]
	if d == nil {
		return false
	}
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// end sends a signal and waits until the program has ended.
func (h *Server) end(name string, sig unix.Signal) {
	if d := h.daemons[name]; d != nil && h.running(name) {
		_ = d.cmd.Process.Signal(sig)
		select {
		case <-d.ended:
		case <-time.After(5 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.ended
		}
	}
}

// Log is what a program of the server wrote: keepalived, conntrackd or haproxy.
func (h *Server) Log(name string) string {
	if d := h.daemons[name]; d != nil {
		return d.log.String()
	}
	return ""
}

// StartKeepalived starts keepalived, without IPVS.
func (h *Server) StartKeepalived() error { return h.keepalived("--vrrp") }

// StartKeepalivedIPVS starts keepalived with the balancing of ipvs.conf.
func (h *Server) StartKeepalivedIPVS() error {
	conf := filepath.Join(h.dir, "etc/keepalived/keepalived.conf")
	b, err := os.ReadFile(conf)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), "include ipvs.conf") {
		if err := os.WriteFile(conf, append(b, "\ninclude ipvs.conf\n"...), 0o644); err != nil {
			return err
		}
	}
	return h.keepalived("--checkers_pid=/run/keepalived/checkers.pid")
}

func (h *Server) keepalived(more string) error {
	// What it listens to in this order: the files of its own place.
	return h.start("keepalived", "keepalived", "--dont-fork", "--log-console", "--log-detail", more,
		"--use-file=/etc/keepalived/keepalived.conf", "--pid=/run/keepalived/main.pid",
		"--vrrp_pid=/run/keepalived/vrrp.pid")
}

// StartConntrackd starts conntrackd, if it is installed.
func (h *Server) StartConntrackd() error {
	if !HasConntrackd() {
		return nil
	}
	return h.start("conntrackd", "conntrackd")
}

// processes returns the IDs of the processes of the host whose command line contains a text.
func (h *Server) processes(text string) (pids []int) {
	var mine, st unix.Stat_t
	if unix.Fstat(h.NetNS(), &mine) != nil {
		return nil
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || unix.Stat("/proc/"+e.Name()+"/ns/net", &st) != nil ||
			st.Ino != mine.Ino {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if strings.Contains(strings.ReplaceAll(string(b), "\x00", " "), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill kills those processes by SIGKILL and returns how many there were.
func (h *Server) kill(text string) (n int) {
	for _, pid := range h.processes(text) {
		if unix.Kill(pid, unix.SIGKILL) == nil {
			n++
		}
	}
	return n
}

// countStrays counts packets to the service's address that arrive while the host does not have it.
func (h *Server) countStrays() error {
	c := h.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader("table ip strays {\n counter strays { }\n" +
		" chain prerouting { type filter hook prerouting priority raw; ip daddr " + ServiceAddress.String() +
		" fib daddr type != local counter name strays; }\n}\n")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: count packets: %w: %s", h.Label, err, out)
	}
	return nil
}

// strays returns that count.
func (h *Server) strays() (n int, err error) {
	out, err := h.ask("nft", "list", "counter", "ip", "strays", "strays")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(out, "packets ")
	if _, err := fmt.Sscanf(after, "%d", &n); err != nil {
		return 0, fmt.Errorf("count packets: %q", out)
	}
	return n, nil
}

// Cut pulls the cable of a NIC; Mend plugs it in.
func (h *Server) Cut(nic string) error  { return h.cables[nic].Cut() }
func (h *Server) Mend(nic string) error { return h.cables[nic].Mend() }
