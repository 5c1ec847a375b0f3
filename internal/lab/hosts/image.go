// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"nicteam/internal/lab/vm"
)

// suite is the Debian release of the machines.
const suite = "bookworm"

// kernelPackage is their kernel.
const kernelPackage = "linux-image-amd64"

// bootModules are loaded by the initramfs; runtimeModules are in the root file system besides them.
var bootModules = []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "crc32c_generic", "ext4"}

var runtimeModules = []string{
	"tun", "bridge", "dummy", "veth", "8021q", "autofs4", "af_packet", "packet_diag", "inet_diag", "udp_diag",
	"tcp_diag", "sch_ingress", "cls_bpf", "cls_u32", "cls_matchall", "act_mirred", "act_gact", "sch_fq_codel",
	"nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_compat", "nf_conntrack_netlink", "qemu_fw_cfg",
	"virtio_rng", "efi_pstore", "configfs",
}

// A store is the directory with the images, which outlive a run.
type store struct{ dir string }

// image returns the file of a recipe's image: its name depends on all that goes into it.
func (s store) image(r recipe, k vm.Kernel) (string, error) {
	key, err := os.ReadFile(s.key() + ".pub")
	if err != nil {
		return "", err
	}
	b, err := json.Marshal([]any{r.Name, r.Packages, r.Files, r.Links, r.Enable, basePackages, baseFiles, masked,
		bootModules, runtimeModules, suite, k.Release, string(key), imageFormat})
	if err != nil {
		return "", err
	}
	return filepath.Join(s.dir, fmt.Sprintf("%s-%x.ext4", r.Name, sha256.Sum256(b))[:len(r.Name)+13]+".ext4"), nil
}

// imageFormat changes when the code below does.
const imageFormat = 1

// imageSize is that of the file system; the file is sparse.
const imageSize = "2G"

func (s store) key() string { return filepath.Join(s.dir, "id_ed25519") }

// prepare makes what is missing: key, kernel, images.
func (s store) prepare(ctx context.Context, chosen []recipe) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(s.key()); err != nil {
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test-hosts", "-f",
			s.key()).CombinedOutput(); err != nil {
			return fmt.Errorf("make ssh key: %w: %s", err, out)
		}
	}
	k, err := s.kernel()
	if err != nil {
		return err
	}
	for _, r := range chosen {
		file, err := s.image(r, k)
		if err != nil {
			return err
		}
		if _, err := os.Stat(file); err == nil {
			continue
		}
		began := time.Now()
		fmt.Printf("%s: make image\n", r.Name)
		if err := s.make(ctx, r, k, file); err != nil {
			return fmt.Errorf("image of %s: %w", r.Name, err)
		}
		fmt.Printf("%s: image made in %v\n", r.Name, time.Since(began).Round(time.Second))
		s.discard(r, file)
	}
	return nil
}

// discard removes the image that an older recipe made, and its snapshot.
func (s store) discard(r recipe, keep string) {
	all, _ := filepath.Glob(filepath.Join(s.dir, r.Name+"-*"))
	for _, f := range all {
		if f != keep {
			_ = os.Remove(f)
		}
	}
}

func (s store) kernel() (vm.Kernel, error) { return vm.FetchKernel("", "", kernelPackage, s.dir) }

// make builds the image in a directory and packs it.
func (s store) make(ctx context.Context, r recipe, k vm.Kernel, file string) (err error) {
	dir, err := os.MkdirTemp(s.dir, "build-")
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	args := append([]string{"--variant=minbase", "--quiet", "--format=directory",
		"--include=" + strings.Join(append(basePackages, r.Packages...), ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", `--aptopt=Acquire::Languages "none"`, suite, root}, sources()...)
	if err := command(ctx, "mmdebstrap", args...); err != nil {
		return err
	}
	if err := s.furnish(ctx, r, root); err != nil {
		return err
	}
	modules, err := vm.FindModules(k, append(bootModules, runtimeModules...))
	if err != nil {
		return err
	}
	if err := modules.Write(k, root); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(root, "var/cache/apt")); err != nil {
		return err
	}
	unfinished := file + ".part"
	if err := command(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, unfinished, imageSize); err != nil {
		return err
	}
	return os.Rename(unfinished, file)
}

// sources returns this machine's own apt sources if they are of the same release; else mmdebstrap uses its default.
func sources() []string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil || !strings.Contains(string(b), "VERSION_CODENAME="+suite) {
		return nil
	}
	for _, f := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		if info, err := os.Stat(f); err == nil && info.Size() > 0 {
			return []string{f}
		}
	}
	return nil
}

// furnish writes the files of a recipe below root and enables its units.
func (s store) furnish(ctx context.Context, r recipe, root string) error {
	key, err := os.ReadFile(s.key() + ".pub")
	if err != nil {
		return err
	}
	files := map[string]string{"/root/.ssh/authorized_keys": string(key), "/etc/hostname": r.Name + "\n"}
	for _, m := range []map[string]string{baseFiles, r.Files} {
		maps.Copy(files, m)
	}
	for name, text := range files {
		to := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		_ = os.Remove(to)
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
	}
	// Neither sshd nor netplan wants others to read these.
	for _, name := range []string{"/root/.ssh", "/root/.ssh/authorized_keys", "/etc/netplan/01-wired.yaml"} {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil {
			if err := os.Chmod(filepath.Join(root, name), info.Mode().Perm()&^0o077); err != nil {
				return err
			}
		}
	}
	if _, own := r.Links["/etc/resolv.conf"]; !own {
		if err := os.WriteFile(filepath.Join(root, "etc/resolv.conf"), nil, 0o644); err != nil {
			return err
		}
	}
	for name, to := range r.Links {
		_ = os.Remove(filepath.Join(root, name))
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	system := filepath.Join(root, "etc/systemd/system")
	for _, u := range masked {
		if err := os.Symlink("/dev/null", filepath.Join(system, u)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if len(r.Enable) == 0 {
		return nil
	}
	return command(ctx, "chroot", append([]string{root, "systemctl", "--quiet", "enable"}, r.Enable...)...)
}

// command runs a program and returns what it wrote with an error.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
