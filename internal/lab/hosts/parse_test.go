// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/lab/vm"
)

func TestParsePing(t *testing.T) {
	const out = `PING 10.77.0.10 (10.77.0.10) from 192.0.2.1 : 56(84) bytes of data.
[1764600000.250000] 64 bytes from 10.77.0.10: icmp_seq=1 ttl=64 time=2.1 ms
[1764600000.450000] From 10.77.0.1 icmp_seq=2 Destination Host Unreachable
[1764600000.650000] no answer yet for icmp_seq=3
[1764600000.850000] 64 bytes from fd77::10: icmp_seq=4 ttl=64 time=2.1 ms
[17646000`
	want := []time.Time{time.UnixMicro(1764600000250000), time.UnixMicro(1764600000850000)}
	if d := cmp.Diff(want, parsePing(out)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func FuzzParsePing(f *testing.F) {
	f.Add("[1764600000.250000] 64 bytes from 10.77.0.10: icmp_seq=1\n")
	f.Fuzz(func(t *testing.T, out string) {
		if got := parsePing(out); len(got) > strings.Count(out, "icmp_seq") {
			t.Errorf("%d answers", len(got))
		}
	})
}

func TestParseAcknowledged(t *testing.T) {
	const log = `Dec  1 14:38:54 dnsmasq-dhcp[44]: 1932566701 DHCPREQUEST(br0) 10.77.0.10 52:54:00:77:00:10
Dec  1 14:38:55 dnsmasq-dhcp[44]: 1932566701 DHCPACK(br0) 10.77.0.10 52:54:00:77:00:10 networkd
Dec  1 14:38:56 dnsmasq-dhcp[44]: 1932566701 DHCPACK(br0) 10.77.0.100 52:54:00:77:00:11 other
Dec 12 14:38:57 dnsmasq-dhcp[44]: 5 DHCPACK(br0) 10.77.0.10 52:54:00:77:00:10 networkd
DHCPACK( 10.77.0.10 `
	want := []time.Time{time.Date(2026, 12, 1, 14, 38, 55, 0, time.Local),
		time.Date(2026, 12, 12, 14, 38, 57, 0, time.Local)}
	if d := cmp.Diff(want, parseAcknowledged(log, "10.77.0.10", 2026)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestState(t *testing.T) {
	const before = `addr eth0 inet 10.77.0.10/24
route default via 10.77.0.1 dev eth0 proto dhcp metric 1024
route multicast ff00::/8 dev eth0 table local
route6 default via fe80::1 dev eth0 proto ra metric 1024 expires 58sec pref medium
dns nameserver 10.77.0.1
`
	const after = `dns nameserver 10.77.0.1
dns nameserver 10.77.0.1
addr eth0 inet 10.77.0.10/24
addr eth1 inet 10.77.0.11/24
route6 default via fe80::1 dev eth0 proto ra metric 1024 expires 12sec pref medium
`
	want := []string{"+addr eth1 inet 10.77.0.11/24", "-route default via 10.77.0.1 dev eth0 proto dhcp"}
	if d := cmp.Diff(want, parseState(after).diff(parseState(before))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestChoose(t *testing.T) {
	all, err := chooseScenarios(nil)
	if err != nil || len(all) != len(scenarios) {
		t.Errorf("%d scenarios of none named, %v", len(all), err)
	}
	some, err := chooseScenarios([]string{"kill"})
	if err != nil || len(some) != 3 || some[2].Name != "kill" {
		t.Errorf("kill: %d scenarios, %v", len(some), err)
	}
	if _, err := chooseScenarios([]string{"kil"}); err == nil {
		t.Error("an unknown scenario is accepted")
	}
	if _, err := chooseRecipes("networkd,windows"); err == nil || !strings.Contains(err.Error(), "dhclient") {
		t.Errorf("an unknown host: %v, want the known ones", err)
	}
}

// Whatever goes into an image is part of its name.
func TestImageName(t *testing.T) {
	s := store{dir: t.TempDir()}
	if _, err := s.image(recipes[0], vm.Kernel{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	if err := os.WriteFile(s.key()+".pub", []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range recipes {
		other := r
		other.Packages = append(other.Packages[:len(other.Packages):len(other.Packages)], "more")
		for _, r := range []recipe{r, other} {
			for _, k := range []string{"6.1", "6.12"} {
				name, err := s.image(r, vm.Kernel{Release: k})
				if err != nil || names[name] || !strings.HasPrefix(filepath.Base(name), r.Name+"-") {
					t.Errorf("image %s, %v", name, err)
				}
				names[name] = true
			}
		}
	}
}

func TestDiscard(t *testing.T) {
	s := store{dir: t.TempDir()}
	for _, name := range []string{"nm-1.ext4", "nm-1-a.qcow2", "nm-2.ext4", "netplan-1.ext4", "id_ed25519"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.discard(recipe{Name: "nm"}, filepath.Join(s.dir, "nm-2.ext4"))
	left, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range left {
		names = append(names, filepath.Base(f))
	}
	if d := cmp.Diff([]string{"id_ed25519", "netplan-1.ext4", "nm-2.ext4"}, names); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestPack(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"nicteam": "binary", "p/systemd/nicteam@.service": "unit",
		"p/sysusers/nicteam.conf": "user", "p/grafana/x.json": "not installed"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := pack(filepath.Join(dir, "nicteam"), filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(content)
	}
	// An archive ends with two empty blocks, without which tar complains.
	if len(b)%512 != 0 || len(b) < 1024 || strings.Trim(string(b[len(b)-1024:]), "\x00") != "" {
		t.Error("the archive has no end")
	}
	want := map[string]string{"usr/local/sbin/nicteam": "binary", "lib/systemd/system/nicteam@.service": "unit",
		"usr/local/lib/sysusers.d/nicteam.conf": "user"}
	maps.Copy(want, extras)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
