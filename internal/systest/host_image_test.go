// SPDX-License-Identifier: MIT

package systest

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// unpackImage unpacks the only layer of an image into box, below /run/root.
func unpackImage(t *testing.T, w *world, image string) {
	t.Helper()
	f, err := os.Open(image)
	labtest.Must(t, err)
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		labtest.Must(t, err)
		files[h.Name], err = io.ReadAll(r)
		labtest.Must(t, err)
	}
	var manifest []struct{ Layers []string }
	labtest.Must(t, json.Unmarshal(files["manifest.json"], &manifest))
	labtest.Must(t, os.WriteFile(w.box.Path("/run/layer.tar.gz"), files[manifest[0].Layers[0]], 0o600))
	w.sh("mkdir /run/root && tar -C /run/root -xzf /run/layer.tar.gz")
}

// TestImage runs a team in a container of the image, with the rights and mounts that docs/install.md gives it. The
// root directory has nothing but the program: no shell, no nft, no ip.
func TestImage(t *testing.T) {
	if *packages == "" {
		t.Skip("needs an image: make test-packages")
	}
	images, _ := filepath.Glob(*packages + "/packages/*image*.tar")
	if len(images) != 1 {
		t.Fatalf("images: %q", images)
	}
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	unpackImage(t, w, images[0])
	config := w.box.Path("/etc/nicteam/" + teamName + ".yaml")
	labtest.Must(t, os.WriteFile(config, []byte(plainConfig), 0o640))

	caps := "-all,+" + strings.ReplaceAll(dockersOwn+",net_admin,bpf,perfmon", ",", ",+")
	cmd := w.box.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", `cd /run/root
for d in run/nicteam var/lib/nicteam etc/nicteam; do mkdir -p /$d $d; mount --bind /$d $d; done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs dev
mkdir dev/net
touch dev/net/tun
mount --bind /dev/net/tun dev/net/tun
exec setpriv --bounding-set=`+caps+` --inh-caps=`+caps+` chroot . /usr/sbin/nicteam run `+teamName)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	labtest.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the container says\n%s", log.String())
		}
	})
	labtest.Eventually(t, "the team is up", func() bool { return w.try("status", teamName, "--check", "-q").Code == 0 })
	reach(t, w.peer, box4)
	s := w.status()
	if s.Datapath != "fastpath" {
		t.Errorf("the data path is %s: %s", s.Datapath, s.DatapathReason)
	}
	for _, pid := range w.processes(" run " + teamName) {
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "nicteam\n" {
			labtest.Must(t, unix.Kill(pid, unix.SIGTERM)) // the engine's stop
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("stopped: %v", err)
	}
	w.checkUnchanged("stopped", before)
}
