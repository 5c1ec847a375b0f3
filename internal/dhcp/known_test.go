// SPDX-License-Identifier: MIT

package dhcp

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClientIDsOfOthers(t *testing.T) {
	mac := MACClientID(testMAC)
	for name, tt := range map[string]struct {
		program     string
		args        []string
		path, files string
		want        [][]byte
	}{
		"nobody":         {"", nil, "", "", [][]byte{nil, mac}},
		"udhcpc":         {"udhcpc", nil, "", "", [][]byte{mac, nil}},
		"udhcpc -C":      {"udhcpc", []string{"udhcpc", "-C", "-i", "eth1"}, "", "", [][]byte{nil, mac}},
		"udhcpc -x":      {"udhcpc", []string{"-x", "0x3d:01020a"}, "", "", [][]byte{{1, 2, 10}, nil, mac}},
		"udhcpc -x name": {"udhcpc", []string{"-x", "hostname:a"}, "", "", [][]byte{mac, nil}},
		"dhclient":       {"dhclient", nil, "", "", [][]byte{nil, mac}},
		"dhclient comment": {"dhclient", nil, "/etc/dhcp/dhclient.conf",
			"#send dhcp-client-identifier 1:2;\n", [][]byte{nil, mac}},
		"dhclient hardware": {"dhclient", nil, "/etc/dhcp/dhclient.conf",
			"send dhcp-client-identifier = hardware;\n", [][]byte{mac, nil}},
		"dhclient octets": {"dhclient", []string{"dhclient", "-cf", "/c"}, "/c",
			"  send dhcp-client-identifier 1:0:a0;\n",
			[][]byte{{1, 0, 0xa0}, nil, mac}},
		"dhclient text": {"dhclient", []string{"-cf", "/c"}, "/c", `send dhcp-client-identifier "ab";`,
			[][]byte{[]byte("ab"), nil, mac}},
		"dhclient broken": {"dhclient", []string{"-cf", "/c"}, "/c", `send dhcp-client-identifier 1:zz;`,
			[][]byte{nil, mac}},
		"dhclient -i": {"dhclient", []string{"dhclient", "-i", "-lf", "/l"}, "/l",
			"lease {\n}\ndefault-duid \"\\000\\001A\\\\\\\"z\\377\";\n",
			[][]byte{{255, 0, 0, 0, 1, 0, 1, 'A', '\\', '"', 'z', 255}, nil, mac}},
		"dhclient -i, no DUID": {"dhclient", []string{"dhclient", "-i", "-df", "/l"}, "/l", "default-duid \"\\0\"\n",
			[][]byte{nil, mac}},
		"dhcpcd": {"dhcpcd", nil, "/var/lib/dhcpcd/duid", "00:04:ff\n",
			[][]byte{{255, 0, 0, 0, 1, 0, 4, 0xff}, nil, mac}},
		"dhcpcd broken": {"dhcpcd", nil, "/var/lib/dhcpcd/duid", "x", [][]byte{nil, mac}},
		"networkd": {"systemd-network", nil, "/run/systemd/netif/leases/7", "ADDRESS=10.9.0.1\nCLIENTID=ff0102\n",
			[][]byte{{255, 1, 2}, nil, mac}},
		"NetworkManager": {"NetworkManager", nil, "", "", [][]byte{mac, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			o := OtherClient{Program: tt.program, Args: tt.args, NIC: "eth1", Index: 7, MAC: testMAC, root: t.TempDir()}
			if tt.path != "" {
				path := filepath.Join(o.root, tt.path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(tt.files), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(tt.want, o.IDs()); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzDhclientConf(f *testing.F) {
	f.Add([]byte("send dhcp-client-identifier = hardware;\nsend dhcp-client-identifier 1:2:;"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id := dhclientID(b, testMAC); len(id) > len(b)+7 {
			t.Errorf("%d octets of %d", len(id), len(b))
		}
		if duid := dhclientDUID(b); len(duid) > len(b) {
			t.Errorf("DUID of %d octets of %d", len(duid), len(b))
		}
	})
}
