// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// A container is what a runtime leaves of a host: mounts, made by a script, and capabilities.
type container struct{ name, mounts, caps string }

const (
	readOnlySysctls = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys"
	dockersOwn      = "chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setpcap," +
		"net_bind_service,sys_chroot,kill,audit_write"
)

// in runs the binary in box inside a container; processes that it starts stay there.
func (w *world) in(c container, args ...string) result {
	w.t.Helper()
	caps := ""
	if c.caps != "" {
		set := "-all,+" + strings.ReplaceAll(c.caps, ",", ",+")
		caps = fmt.Sprintf("setpriv --bounding-set=%s --inh-caps=%s ", set, set)
	}
	script := c.mounts + "\nexec " + caps + program(w.t) + " " + strings.Join(args, " ")
	cmd := w.box.Command("unshare", "--mount", "sh", "-ec", script)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		w.t.Fatal(err)
	}
	return result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

// TestContainers: a team works without what it can do without. NICs whose IPv6 cannot be disabled send nothing by
// themselves, join and leave, and are restored.
func TestContainers(t *testing.T) {
	t.Parallel()
	labtest.Tool(t, "setpriv", "util-linux")
	for _, c := range []container{
		{"read-only /proc/sys", readOnlySysctls, ""},
		{"Docker with NET_ADMIN", readOnlySysctls + "; mount --bind /sys /sys; mount -o remount,bind,ro /sys",
			dockersOwn + ",net_admin"},
		{"without /sys", readOnlySysctls + "; mount -t tmpfs -o ro none /sys", ""},
		{"without /proc/sys/net", "mount -t tmpfs -o ro none /proc/sys/net", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			parallel(t)
			if strings.Contains(c.caps, "net_admin") {
				labtest.Tool(t, "nft", "nftables")
			}
			w := newWorld(t, worldOptions{NICs: 3, Cables: true})
			w.sh("echo 0 >/proc/sys/net/ipv4/conf/eth2/rp_filter")
			before := w.state()
			r := w.in(c, "create", teamName, "eth1", "eth2", "--mode", "active-backup")
			if r.Code != 0 {
				t.Fatalf("exit %d: %s%s", r.Code, r.Out, r.Err)
			}
			if strings.Contains(c.mounts, readOnlySysctls) != strings.Contains(r.Err,
				"/proc/sys cannot be written (read-only file system)") {
				t.Errorf("said %s", r.Err)
			}
			w.nicteam("add", teamName, "eth3")
			silent := func(when string, nics ...string) {
				t.Helper()
				for _, nic := range nics {
					if got := w.sh("ip -o addr show dev " + nic); got != "" {
						t.Errorf("%s: %s has %s", when, nic, got)
					}
				}
			}
			silent("as members", "eth1", "eth2", "eth3")
			// The kernel makes link-local addresses as a link comes up.
			w.sh("ip link set eth2 down; ip link set eth2 up")
			w.awaitMember("eth2", "standby")
			silent("after it was down", "eth2")
			if !w.reaches() {
				t.Error("the peer is not reached")
			}
			w.nicteam("remove", teamName, "eth3")
			w.nicteam("delete", teamName)
			w.checkUnchanged("after delete", before)
		})
	}
}

// TestContainersThatLack: what a team cannot do without is reported before anything is changed.
func TestContainersThatLack(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	var noNft strings.Builder
	for dir := range strings.SplitSeq("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ":") {
		if st, err := os.Stat(dir + "/nft"); err == nil && st.Mode().IsRegular() {
			noNft.WriteString("; mount --bind /dev/null " + dir + "/nft")
		}
	}
	for _, tt := range []struct {
		container
		code  int
		words []string
	}{
		{container{"NET_ADMIN", ":", dockersOwn}, 4, []string{"no CAP_NET_ADMIN", "--cap-add NET_ADMIN"}},
		{container{"NET_RAW", ":", "net_admin,dac_override"}, 4, []string{"no CAP_NET_RAW", "--cap-add NET_RAW"}},
		{container{"both", ":", "dac_override"}, 4, []string{"no CAP_NET_ADMIN and no CAP_NET_RAW"}},
		{container{"BPF and nft", ":" + noNft.String(), dockersOwn + ",net_admin"}, 4,
			[]string{"no CAP_BPF", "nft is not installed", "--cap-add BPF"}},
		{container{"/proc/sys", "mount -t tmpfs none /proc/sys", ""}, 4, []string{"boot_id"}},
		{container{"/dev/net/tun", "mount -t tmpfs none /dev", ""}, 1, []string{"TAP", "mknod"}},
	} {
		checkRefused(t, w.in(tt.container, "create", teamName, "eth1", "eth2"), tt.code, tt.words...)
		if t.Failed() {
			t.Fatalf("without %s", tt.name)
		}
	}
	w.checkUnchangedSnapshot(before.all)
}

// reaches reports whether box reaches peer.
func (w *world) reaches() bool {
	return w.box.Command("ping", "-q", "-c", "3", "-i", "0.1", "-W", "1", "10.9.0.2").Run() == nil
}
