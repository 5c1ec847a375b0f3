package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/safchain/ethtool"

	"nicteam/internal/lab"
)

// openVSwitch has box's eth1 and eth2 in an active-backup bond of Open vSwitch's user-space (netdev)
// datapath, and the address on the bridge. Its daemons are box's own, with all their files in a
// directory of their own; nothing of an installed service is touched.
func (r *rig) openVSwitch(ctx context.Context, tso bool) error {
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("open vswitch: %w (apt-get install openvswitch-switch)", err)
		}
	}
	dir, err := os.MkdirTemp("/run/lab", "ovs-")
	if err != nil {
		return err
	}
	r.defers(func() error { return os.RemoveAll(dir) })
	o := &vswitch{rig: r, dir: dir, db: "unix:" + filepath.Join(dir, "db.sock")}
	if err := o.start(ctx, tso); err != nil {
		return fmt.Errorf("open vswitch: %w", err)
	}
	// The bridge has a MAC of its own and the NICs answer for no address but their own, which they do not
	// have: otherwise the kernel would take in each frame a second time.
	if err := r.box.Sysctl("ipv4/conf/all/arp_ignore", "1"); err != nil {
		return err
	}
	if !tso {
		// Without the virtio header it neither learns that a checksum is still to be computed nor takes a
		// super-frame, so peer has to send finished frames.
		if err := noTransmitOffload(r.peer, "eth1"); err != nil {
			return err
		}
	}
	if err := r.box.Up("br0"); err != nil {
		return err
	}
	if err := r.box.SetAddr("br0", boxCIDR); err != nil {
		return err
	}
	if err := r.await(ctx); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "vswitchd.log"))
		return fmt.Errorf("open vswitch: %w; its log ends: %s", err, oneLine(log[max(0, len(log)-600):]))
	}
	return nil
}

type vswitch struct {
	*rig
	dir, db string
}

func (o *vswitch) start(ctx context.Context, tso bool) error {
	if err := o.run(ctx, "ovsdb-tool", "create", filepath.Join(o.dir, "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"); err != nil {
		return err
	}
	socket := filepath.Join(o.dir, "db.sock")
	if err := o.daemon("ovsdb-server", filepath.Join(o.dir, "conf.db"), "--remote=punix:"+socket,
		"--unixctl="+filepath.Join(o.dir, "ovsdb.ctl"), "--log-file="+filepath.Join(o.dir, "ovsdb.log")); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("ovsdb-server does not listen after 5s")
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	if err := o.set(ctx, "--no-wait", "init"); err != nil {
		return err
	}
	// Read once, when the switch starts.
	if err := o.set(ctx, "--no-wait", "set", "Open_vSwitch", ".", fmt.Sprintf("other_config:userspace-tso-enable=%v", tso)); err != nil {
		return err
	}
	if err := o.daemon("ovs-vswitchd", o.db, "--disable-system",
		"--unixctl="+filepath.Join(o.dir, "vswitchd.ctl"), "--log-file="+filepath.Join(o.dir, "vswitchd.log")); err != nil {
		return err
	}
	return o.set(ctx, "--timeout=20",
		"add-br", "br0",
		"--", "set", "bridge", "br0", "datapath_type=netdev", "other_config:hwaddr=02:00:00:00:05:01",
		"--", "add-bond", "br0", "bond0", "eth1", "eth2", "bond_mode=active-backup",
		"--", "set", "port", "bond0", "other_config:bond-primary=eth1")
}

// set calls ovs-vsctl.
func (o *vswitch) set(ctx context.Context, args ...string) error {
	return o.run(ctx, "ovs-vsctl", append([]string{"--db=" + o.db}, args...)...)
}

func (o *vswitch) run(ctx context.Context, name string, args ...string) error {
	cmd := o.box.CommandContext(ctx, name, args...)
	cmd.Env = o.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, oneLine(out))
	}
	return nil
}

func (o *vswitch) env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_LOGDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_SYSCONFDIR="+o.dir)
}

// daemon starts a program that ends, in order, with the rig.
func (o *vswitch) daemon(name string, args ...string) error {
	cmd := o.box.Command(name, append(args, "-vconsole:off")...)
	cmd.Env = o.env()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	o.defers(func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		return nil
	})
	return nil
}

// noTransmitOffload has a NIC's host compute checksums and segment.
func noTransmitOffload(h *lab.Host, nic string) error {
	err := h.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(nic, map[string]bool{
			"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-generic-segmentation": false,
		})
	})
	if err != nil {
		return fmt.Errorf("switch transmit offloads of %s off: %w", nic, err)
	}
	return nil
}
