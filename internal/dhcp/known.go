// SPDX-License-Identifier: MIT

package dhcp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/frame"
)

// OtherClient is a DHCP client of a NIC, as far as it is known.
type OtherClient struct {
	Program string // "" none runs
	Args    []string
	NIC     string
	Index   int // ifindex
	MAC     frame.MAC

	root string // tests: of the files
}

// IDs returns the client identifiers that it may have used, the most likely first. A server that is asked without an
// identifier goes by the MAC and stores nothing new, so that comes before guesses: an identifier that the other client
// does not use would turn the lease into one that the server refuses to that client.
func (o OtherClient) IDs() [][]byte {
	var ids [][]byte
	add := func(id []byte) {
		if !slices.ContainsFunc(ids, func(have []byte) bool { return bytes.Equal(have, id) }) {
			ids = append(ids, id)
		}
	}
	switch o.Program {
	case "udhcpc":
		add(o.udhcpc())
	case "dhclient":
		if id := o.dhclient(); id != nil {
			add(id)
		}
	case "dhcpcd":
		if id := o.dhcpcd(); id != nil {
			add(id)
		}
	case "systemd-network":
		if id := o.networkd(); id != nil {
			add(id)
		}
	case "NetworkManager":
		add(MACClientID(o.MAC))
	}
	add(nil)
	add(MACClientID(o.MAC))
	return ids
}

// maxFile bounds a file of another client.
const maxFile = 256 << 10

func (o OtherClient) read(path string) []byte {
	st, err := os.Stat(o.root + path)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil
	}
	b, _ := os.ReadFile(o.root + path)
	return b
}

// after returns the argument after a flag.
func (o OtherClient) after(flag string) string {
	if i := slices.Index(o.Args, flag); i >= 0 && i+1 < len(o.Args) {
		return o.Args[i+1]
	}
	return ""
}

// udhcpc sends the MAC, unless -C or another one by -x.
func (o OtherClient) udhcpc() []byte {
	for i, a := range o.Args {
		if a == "-x" && i+1 < len(o.Args) {
			code, value, _ := strings.Cut(o.Args[i+1], ":")
			if n, err := strconv.ParseUint(code, 0, 8); err == nil && n == 61 {
				if id, err := hex.DecodeString(strings.ReplaceAll(value, ":", "")); err == nil {
					return id
				}
			}
		}
	}
	if slices.Contains(o.Args, "-C") || slices.Contains(o.Args, "--clientid-none") {
		return nil
	}
	return MACClientID(o.MAC)
}

// dhclient sends its DUID with -i, as Debian's ifupdown starts it, else what its configuration says: send
// dhcp-client-identifier = hardware, or octets in hex, or text.
func (o OtherClient) dhclient() []byte {
	if slices.Contains(o.Args, "-i") {
		for _, path := range []string{o.after("-lf"), o.after("-df"), "/var/lib/dhcp/dhclient.leases"} {
			if path != "" {
				if duid := dhclientDUID(o.read(path)); duid != nil {
					return o.duidID(duid)
				}
			}
		}
	}
	path := o.after("-cf")
	if path == "" {
		path = "/etc/dhcp/dhclient.conf"
	}
	return dhclientID(o.read(path), o.MAC)
}

// dhclientDUID returns the DUID of a lease file: default-duid "text";, with octets that are no text as \ooo.
func dhclientDUID(leases []byte) (duid []byte) {
	for s := bufio.NewScanner(bytes.NewReader(leases)); s.Scan(); {
		rest, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), `default-duid "`)
		text, ended := strings.CutSuffix(rest, `";`)
		if !ok || !ended {
			continue
		}
		duid = nil
		for i := 0; i < len(text); i++ {
			if text[i] != '\\' || i+1 == len(text) {
				duid = append(duid, text[i])
				continue
			}
			if i+3 < len(text) {
				if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
					duid = append(duid, byte(n))
					i += 3
					continue
				}
			}
			i++
			duid = append(duid, text[i])
		}
	}
	if len(duid) < 3 {
		return nil
	}
	return duid
}

// duidID returns 255, an IAID from the end of the MAC, and a DUID (RFC 4361).
func (o OtherClient) duidID(duid []byte) []byte {
	var mac [6]byte
	o.MAC.Put(mac[:], 0)
	return slices.Concat([]byte{255}, mac[2:], duid)
}

func dhclientID(conf []byte, mac frame.MAC) (id []byte) {
	for s := bufio.NewScanner(bytes.NewReader(conf)); s.Scan(); {
		rest, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "send dhcp-client-identifier")
		value, _, ended := strings.Cut(strings.TrimLeft(rest, " \t="), ";")
		value = strings.TrimSpace(value)
		if !ok || !ended {
			continue
		}
		if text, quoted := strings.CutPrefix(value, `"`); quoted {
			id = []byte(strings.TrimSuffix(text, `"`))
			continue
		}
		if value == "hardware" {
			id = MACClientID(mac)
			continue
		}
		id = nil
		for part := range strings.SplitSeq(value, ":") {
			n, err := strconv.ParseUint(part, 16, 8)
			if err != nil {
				id = nil
				break
			}
			id = append(id, byte(n))
		}
	}
	return id
}

// dhcpcd sends its DUID.
func (o OtherClient) dhcpcd() []byte {
	text := strings.TrimSpace(string(o.read("/var/lib/dhcpcd/duid")))
	duid, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(duid) < 3 {
		return nil
	}
	return o.duidID(duid)
}

// networkd keeps what it sends with the lease.
func (o OtherClient) networkd() []byte {
	b := o.read("/run/systemd/netif/leases/" + strconv.Itoa(o.Index))
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "CLIENTID="); ok {
			if id, err := hex.DecodeString(value); err == nil && len(id) > 1 {
				return id
			}
		}
	}
	return nil
}
