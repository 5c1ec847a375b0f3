// SPDX-License-Identifier: MIT

package main

// A recipe is what makes the virtual machine of one network manager.
type recipe struct {
	Name     string
	About    string   // for the table: the manager and what goes with it
	Packages []string // besides those of every machine
	Version  string   // command that prints the manager's version
	Files    map[string]string
	Links    map[string]string
	Enable   []string // units
	Show     string   // command that prints the manager's view, for a failure's record
}

// basePackages are in every machine.
var basePackages = []string{"systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "openssh-server", "iproute2",
	"iputils-ping", "kmod", "procps", "netbase", "nftables", "tcpdump"}

// baseFiles are in every machine.
var baseFiles = map[string]string{
	"/etc/hosts":          "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
	"/etc/fstab":          "/dev/vda / ext4 defaults 0 0\n",
	"/etc/machine-id":     "6e696374656d2d746573742d686f7374\n",
	"/etc/default/locale": "LANG=C.UTF-8\n",
	"/etc/nsswitch.conf": "passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files dns\n" +
		"protocols: files\nservices: files\n",
	// The log of the boot before helps after a reboot.
	"/etc/systemd/journald.conf.d/hosts.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
	// An emulated processor is slow; systemd's own limits stay as they are but for the whole boot.
	"/etc/systemd/system.conf.d/hosts.conf": "[Manager]\nDefaultTimeoutStartSec=180s\n",
}

// masked units have no part in the test and cost seconds of an emulated boot.
var masked = []string{"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
	"sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "modprobe@drm.service", "modprobe@fuse.service",
	"modprobe@configfs.service", "modprobe@efi_pstore.service", "modprobe@loop.service", "modprobe@dm_mod.service",
	"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"dpkg-db-backup.timer", "getty@tty1.service", "systemd-pstore.service"}

// stub is resolved's way of serving programs that read resolv.conf.
var stub = map[string]string{"/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf"}

// nssResolved asks resolved first, as Debian's libnss-resolve sets it.
const nssResolved = "passwd: files systemd\ngroup: files systemd\nshadow: files\n" +
	"hosts: files resolve [!UNAVAIL=return] dns\nprotocols: files\nservices: files\n"

const showNetworkd = "networkctl status --no-pager -n 20; resolvectl status; " +
	"journalctl -b -u systemd-networkd --no-pager | tail -40"

// recipes are the managers, each as its own documentation sets it up for NICs with DHCP.
var recipes = []recipe{
	{
		Name:     "networkd",
		About:    "systemd-networkd, systemd-resolved",
		Packages: []string{"systemd-resolved", "libnss-resolve"},
		Version:  "networkctl --version | head -1",
		Files: map[string]string{
			"/etc/systemd/network/20-wired.network": "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n",
			"/etc/nsswitch.conf":                    nssResolved,
		},
		Links:  stub,
		Enable: []string{"systemd-networkd", "systemd-networkd-wait-online", "systemd-resolved"},
		Show:   showNetworkd,
	},
	{
		Name:     "dhclient",
		About:    "ifupdown, isc-dhcp-client",
		Packages: []string{"ifupdown", "isc-dhcp-client"},
		Version:  "dhclient --version 2>&1 | head -1; dpkg-query -W -f 'ifupdown ${Version}\\n' ifupdown",
		Files: map[string]string{
			"/etc/network/interfaces": "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n" +
				"iface eth0 inet6 auto\n",
		},
		Show: "cat /etc/resolv.conf /run/network/ifstate; " +
			"journalctl -b -t dhclient -u networking --no-pager | tail -40",
	},
	{
		Name:     "nm",
		About:    "NetworkManager",
		Packages: []string{"network-manager"},
		Version:  "NetworkManager --version",
		Enable:   []string{"NetworkManager", "NetworkManager-wait-online"},
		Show: "nmcli device; nmcli connection; cat /etc/resolv.conf; " +
			"journalctl -b -u NetworkManager --no-pager | tail -60",
	},
	{
		Name:     "netplan",
		About:    "netplan with systemd-networkd, systemd-resolved",
		Packages: []string{"netplan.io", "systemd-resolved", "libnss-resolve"},
		Version:  "dpkg-query -W -f 'netplan ${Version}\\n' netplan.io; networkctl --version | head -1",
		Files: map[string]string{
			"/etc/netplan/01-wired.yaml": "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    eth0:\n" +
				"      dhcp4: true\n",
			"/etc/nsswitch.conf": nssResolved,
		},
		Links:  stub,
		Enable: []string{"systemd-networkd", "systemd-resolved"},
		Show:   "netplan get; " + showNetworkd,
	},
	{
		Name:     "dhcpcd",
		About:    "dhcpcd",
		Packages: []string{"dhcpcd"},
		Version:  "dhcpcd --version | head -1",
		Enable:   []string{"dhcpcd"},
		Show:     "cat /etc/resolv.conf; journalctl -b -u dhcpcd --no-pager | tail -60",
	},
}
