// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OVS is Open vSwitch's user-space (netdev) switch in a host. Its daemons run in the host, with all files in a
// directory of their own. It does not touch an installed service and does not use the kernel module. It is configured
// by ovs-vsctl.
//
//	ovsdb-server ── conf.db
//	ovs-vswitchd ── packet sockets ── eth1, eth2, …  of the host
type OVS struct {
	host    *Host
	dir, db string

	mu       sync.Mutex
	database *daemon
	switchd  *daemon // nil while it is stopped
}

// OVSOptions; the zero value is a switch that accepts finished frames only.
type OVSOptions struct {
	// TSO passes super-frames and frames with unfinished checksums. Without it senders must send finished frames.
	TSO bool
}

// ovsTools are the programs used, all of Debian's openvswitch-switch.
var ovsTools = []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl"}

// HasOVS returns an error that says what is missing and where it comes from.
func HasOVS() error {
	for _, tool := range ovsTools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("open vswitch: %w (apt-get install openvswitch-switch)", err)
		}
	}
	return nil
}

// NewOVS starts the switch, without a bridge, in a host. It ends with Close, or with the host.
func NewOVS(ctx context.Context, h *Host, o OVSOptions) (*OVS, error) {
	if err := HasOVS(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/run/lab", "ovs-")
	if err != nil {
		return nil, fmt.Errorf("open vswitch: %w", err)
	}
	s := &OVS{host: h, dir: dir, db: "unix:" + filepath.Join(dir, "db.sock")}
	if err := s.start(ctx, o); err != nil {
		return nil, fmt.Errorf("open vswitch: %w", errors.Join(err, s.Close()))
	}
	h.deferClose(s.Close)
	return s, nil
}

func (o *OVS) start(ctx context.Context, options OVSOptions) (err error) {
	conf := filepath.Join(o.dir, "conf.db")
	if _, err := o.run(ctx, "ovsdb-tool", "create", conf, "/usr/share/openvswitch/vswitch.ovsschema"); err != nil {
		return err
	}
	if o.database, err = o.daemon("ovsdb-server", conf, "--remote=p"+o.db,
		"--unixctl="+filepath.Join(o.dir, "ovsdb.ctl"),
		"--log-file="+filepath.Join(o.dir, "ovsdb.log")); err != nil {
		return err
	}
	if err := o.awaitSocket(ctx, filepath.Join(o.dir, "db.sock"), o.database); err != nil {
		return err
	}
	if err := o.Set(ctx, "--no-wait", "init"); err != nil {
		return err
	}
	// Read once, when the switch starts.
	if err := o.Set(ctx, "--no-wait", "set", "Open_vSwitch",
		".", fmt.Sprintf("other_config:userspace-tso-enable=%v", options.TSO)); err != nil {
		return err
	}
	return o.Resume(ctx)
}

// Set calls ovs-vsctl, which returns once the switch has applied the change, or after 20 s.
func (o *OVS) Set(ctx context.Context, args ...string) error {
	_, err := o.run(ctx, "ovs-vsctl", append([]string{"--db=" + o.db, "--retry", "--timeout=20"}, args...)...)
	return err
}

// Ask calls ovs-appctl and returns its output.
func (o *OVS) Ask(ctx context.Context, args ...string) (string, error) {
	return o.run(ctx, "ovs-appctl", append([]string{"--timeout=5", "--target=" + o.control()}, args...)...)
}

func (o *OVS) control() string { return filepath.Join(o.dir, "vswitchd.ctl") }

// Kill ends the switch as a crash does: it sends nothing. The database stays.
func (o *OVS) Kill() { o.end(unix.SIGKILL) }

func (o *OVS) end(s syscall.Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.switchd.end(s)
	o.switchd = nil
	_ = os.Remove(o.control())
}

// Resume starts the switch that was stopped with what the database says.
func (o *OVS) Resume(ctx context.Context) (err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.switchd != nil {
		return nil
	}
	if o.switchd, err = o.daemon("ovs-vswitchd", o.db, "--disable-system", "--unixctl="+o.control(),
		"--log-file="+o.logFile()); err != nil {
		return err
	}
	if err := o.awaitSocket(ctx, o.control(), o.switchd); err != nil {
		return err
	}
	// It listens before it has read the database; this waits until it has.
	return o.Set(ctx, "set", "Open_vSwitch", ".", "external_ids:resumed=true")
}

// Log is the end of what the switch wrote.
func (o *OVS) Log() string {
	b, _ := os.ReadFile(o.logFile())
	return string(b[max(0, len(b)-4096):])
}

func (o *OVS) logFile() string { return filepath.Join(o.dir, "vswitchd.log") }

// Close ends the daemons and removes their files. Closing twice is fine.
func (o *OVS) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.switchd.end(unix.SIGTERM)
	o.database.end(unix.SIGTERM)
	o.switchd, o.database = nil, nil
	return os.RemoveAll(o.dir)
}

// awaitSocket waits until a daemon has created its socket.
func (o *OVS) awaitSocket(ctx context.Context, socket string, d *daemon) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("%s ended: %s", d.name, oneLine(d.output.Bytes()))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen after 10s", d.name)
		}
	}
}

func (o *OVS) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := o.host.CommandContext(ctx, name, args...)
	cmd.Env = o.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, oneLine(out))
	}
	return string(out), nil
}

// environment keeps all files out of the directories of an installed service.
func (o *OVS) environment() []string {
	return append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_LOGDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_SYSCONFDIR="+o.dir)
}

// daemon is a process that runs until end.
type daemon struct {
	name   string
	cmd    *Command
	output bytes.Buffer // to be read after ended
	ended  chan struct{}
}

func (o *OVS) daemon(name string, args ...string) (*daemon, error) {
	d := &daemon{name: name, cmd: o.host.Command(name, append(args, "-vconsole:off")...), ended: make(chan struct{})}
	d.cmd.Env = o.environment()
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { defer close(d.ended); _ = d.cmd.Wait() }()
	return d, nil
}

// end returns when the process has ended. One that ignores the signal for 3 s is killed.
func (d *daemon) end(s syscall.Signal) {
	if d == nil {
		return
	}
	_ = d.cmd.Process.Signal(s)
	select {
	case <-d.ended:
	case <-time.After(3 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
}

func oneLine(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }
