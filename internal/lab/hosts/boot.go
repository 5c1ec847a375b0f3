// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A bench is a machine in its network.
type bench struct {
	recipe
	machine machine
	network network
	dir     string // of what is kept of a run
	close   func()
}

// newBench puts a new machine into a new network and returns when it has booted and has its addresses.
func newBench(ctx context.Context, o options, r recipe) (*bench, error) {
	k, err := o.store().kernel()
	if err != nil {
		return nil, err
	}
	image, err := o.store().image(r, k)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(image); err != nil {
		return nil, fmt.Errorf("%s has no image: run `hosts images` first: %w", r.Name, err)
	}
	dir, temporary := o.scratch, o.scratch == ""
	if temporary {
		if dir, err = os.MkdirTemp("", "nicteam-hosts-"+r.Name+"-"); err != nil {
			return nil, err
		}
	} else if dir = filepath.Join(dir, r.Name); os.MkdirAll(dir, 0o755) != nil {
		return nil, fmt.Errorf("make %s", dir)
	}
	router, err := newRouter(dir, o.store().key())
	if err != nil {
		return nil, err
	}
	q := &qemu{launch: inHost(router.Host), kernel: k, initrd: filepath.Join(dir, "initrd"),
		disk: filepath.Join(dir, "disk.qcow2"), dir: dir, memory: o.memory}
	b := &bench{recipe: r, machine: q, network: router, dir: dir, close: func() {
		q.Stop()
		router.Close()
		if temporary {
			_ = os.RemoveAll(dir)
		}
	}}
	if err := b.begin(ctx, q, image); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// begin starts the machine from the snapshot of its first boot, or boots it and makes that.
func (b *bench) begin(ctx context.Context, q *qemu, image string) error {
	if err := initrd(q.kernel, q.initrd); err != nil {
		return err
	}
	content, err := os.ReadFile(q.initrd)
	if err != nil {
		return err
	}
	// A snapshot has the guest program in memory, and belongs to this kind of machine.
	key := sha256.Sum256(fmt.Append(content, q.memory, kernelArguments, nicCount, snapshotFormat))
	saved := fmt.Sprintf("%s-%x.qcow2", strings.TrimSuffix(image, ".ext4"), key[:6])
	if _, err := os.Stat(saved); err != nil {
		if err := newDisk(ctx, image, q.disk); err != nil {
			return err
		}
		if err := q.Start(ctx); err != nil {
			return err
		}
		if _, err := b.awaitAddresses(ctx, bootLimit); err != nil {
			return fmt.Errorf("first boot: %w", err)
		}
		if _, _, err := b.machine.Run(ctx, "systemctl is-system-running --wait; sync", settleLimit); err != nil {
			return fmt.Errorf("first boot: %w", err)
		}
		if err := q.save(); err != nil {
			return err
		}
		if err := keep(ctx, q.disk, saved); err != nil {
			return err
		}
	} else if err := command(ctx, "cp", "--sparse=always", saved, q.disk); err != nil {
		return err
	}
	q.loads = true
	if err := q.Start(ctx); err != nil {
		return err
	}
	_, err = b.awaitAddresses(ctx, settleLimit)
	return err
}

// snapshotFormat changes when QEMU's arguments do.
const snapshotFormat = 1

// keep copies a disk with its snapshot into the store, in place of older ones.
func keep(ctx context.Context, disk, saved string) error {
	image, _, _ := strings.Cut(filepath.Base(saved), "-")
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(saved), image+"-*.qcow2"))
	for _, f := range old {
		_ = os.Remove(f)
	}
	unfinished := saved + ".part"
	if err := command(ctx, "cp", "--sparse=always", disk, unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, saved)
}

// install puts nicteam and its packaging into the machine, as make install does.
func (b *bench) install(ctx context.Context, binary, packaging string) error {
	content, err := pack(binary, packaging)
	if err != nil {
		return err
	}
	if err := b.machine.Put(ctx, "/tmp/nicteam.tar", content, 0o600); err != nil {
		return err
	}
	const unpack = "tar -x --no-same-owner --unlink-first -C / -f /tmp/nicteam.tar && rm /tmp/nicteam.tar && " +
		"{ [ ! -d /usr/local/lib/sysusers.d ] || systemd-sysusers; } && systemctl daemon-reload && " +
		"systemctl --quiet enable hosts-online && nicteam version"
	out, code, err := b.machine.Run(ctx, unpack, createLimit)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit %d", code)
	}
	if err != nil {
		return fmt.Errorf("install: %w: %s", err, out)
	}
	return nil
}

// places are where the files of packaging belong.
var places = map[string]string{"systemd": "lib/systemd/system", "sysusers": "usr/local/lib/sysusers.d",
	"tmpfiles": "usr/local/lib/tmpfiles.d"}

// extras are installed besides.
var extras = map[string]string{
	// Two seconds of a real processor are many of an emulated one.
	"etc/systemd/system/nicteam@.service.d/emulated.conf": "[Service]\nWatchdogSec=60s\n",
	// A service that waits for the network finds it there, if network-online.target is honest.
	"etc/systemd/system/hosts-online.service": "[Unit]\nWants=network-online.target\nAfter=network-online.target\n\n" +
		"[Service]\nType=oneshot\nExecStart=-/bin/sh -c 'ping -n -q -c 1 -W 5 " + outside4 + " && touch " + onlineFile +
		"'\n\n[Install]\nWantedBy=multi-user.target\n",
}

// onlineFile exists if the network was there when systemd said so.
const onlineFile = "/run/hosts-online"

// pack makes an archive of what is installed.
func pack(binary, packaging string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(from io.Reader, to string, mode int64) error {
		content, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: to, Mode: mode, Size: int64(len(content)), ModTime: time.Now()}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	}
	addFile := func(from, to string, mode int64) error {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		return add(f, to, mode)
	}
	if err := addFile(binary, "usr/local/sbin/nicteam", 0o755); err != nil {
		return nil, err
	}
	for from, to := range places {
		dir := filepath.Join(packaging, from)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			return addFile(path, filepath.Join(to, rel), 0o644)
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	for to, text := range extras {
		if err := add(strings.NewReader(text), to, 0o644); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
