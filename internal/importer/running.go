// SPDX-License-Identifier: MIT

package importer

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
)

// Running is where the reader of running links looks.
type Running struct {
	Sys string // /sys
	// Addresses returns the addresses of a link that somebody configured, whether they are of a lease, and the gateways
	// of its default routes; nil: none are asked for.
	Addresses func(link string) (Addresses, error)
	// Teamd returns teamd's configuration of a team; nil: teamdctl is asked.
	Teamd func(ctx context.Context, team string) ([]byte, error)
}

// Addresses are those of a running link.
type Addresses struct {
	List     []netip.Prefix
	Leased   bool // DHCP gave one of them
	Gateways []netip.Addr
}

// sysfsIgnored are files of a bond that tell its state.
var sysfsIgnored = []string{"slaves", "mii_status", "ad_aggregator", "ad_num_ports", "ad_actor_key", "ad_partner_key",
	"ad_partner_mac"}

func (r Running) link(name string) string { return filepath.Join(r.Sys, "class/net", name) }

// IsBond reports whether a link of this host is a bond of the kernel.
func (r Running) IsBond(name string) bool {
	st, err := os.Stat(filepath.Join(r.link(name), "bonding"))
	return err == nil && st.IsDir()
}

// Has reports whether this host has a link of that name.
func (r Running) Has(name string) bool {
	if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
		return false
	}
	_, err := os.Stat(r.link(name))
	return err == nil
}

// Bond reads a bond of the kernel (Documentation/ABI/testing/sysfs-class-net-*, bonding.rst).
func (r Running) Bond(name string) (*Bond, error) {
	dir := filepath.Join(r.link(name), "bonding")
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, runningProblem(name, err)
	}
	b := &Bond{Name: name, At: Place{File: dir}}
	slaves, err := readSys(filepath.Join(dir, "slaves"))
	if err != nil {
		return nil, runningProblem(name, err)
	}
	for s := range strings.FieldsSeq(slaves) {
		b.port(s, Place{File: filepath.Join(dir, "slaves")})
	}
	for _, f := range files {
		key := f.Name()
		if slices.Contains(sysfsIgnored, key) {
			continue
		}
		path := filepath.Join(dir, key)
		// Some cannot be read by everybody, or in every mode.
		value, err := readSys(path)
		if err != nil || value == "" {
			continue
		}
		e := Entry{Key: key, Value: sysfsValue(key, value), At: Place{File: path}, Implied: true}
		if key == "queue_id" {
			b.queues(e)
			continue
		}
		b.Options = append(b.Options, e)
	}
	return b, r.network(b)
}

// sysfsValue leaves out the number behind a word: "active-backup 1".
func sysfsValue(key, value string) string {
	if strings.HasSuffix(key, "_target") {
		return value
	}
	f := strings.Fields(value)
	if len(f) == 2 {
		if _, err := strconv.Atoi(f[1]); err == nil {
			return f[0]
		}
	}
	return value
}

// queues are the queues of members: "eth1:0 eth2:2".
func (b *Bond) queues(e Entry) {
	for w := range strings.FieldsSeq(e.Value) {
		i := strings.LastIndexByte(w, ':')
		if i < 0 {
			continue
		}
		one := e
		one.Value = w[i+1:]
		p := b.port(w[:i], e.At)
		p.Options = append(p.Options, one)
	}
}

// network reads MTU, MAC and addresses of a running link.
func (r Running) network(b *Bond) error {
	add := func(key, value, file string) {
		b.Network = append(b.Network, Entry{Key: key, Value: value, At: Place{File: file}, Implied: true})
	}
	mtu := filepath.Join(r.link(b.Name), "mtu")
	if v, err := readSys(mtu); err == nil {
		add("mtu", v, mtu)
	}
	address := filepath.Join(r.link(b.Name), "address")
	if v, err := readSys(address); err == nil && v != r.permanentMAC(b) {
		add("mac", v, address)
	}
	if r.Addresses == nil {
		return nil
	}
	has, err := r.Addresses(b.Name)
	if err != nil {
		return &api.Problem{Kind: api.Failed, What: "import " + b.Name + ": read its addresses", Why: err.Error(),
			Fix: "run it again", Err: err}
	}
	from := "the addresses of " + b.Name
	if has.Leased {
		add("dhcp", "yes", from)
	}
	for _, p := range has.List {
		add("address", p.String(), from)
	}
	for _, g := range has.Gateways {
		add("gateway", g.String(), "the routes of "+b.Name)
	}
	return nil
}

// permanentMAC is the MAC that a team of these NICs has by default: that of the first.
func (r Running) permanentMAC(b *Bond) string {
	if len(b.Ports) == 0 {
		return ""
	}
	v, _ := readSys(filepath.Join(r.link(b.Ports[0].Name), "bonding_slave/perm_hwaddr"))
	return v
}

// Team asks teamd for the configuration of a running team.
func (r Running) Team(ctx context.Context, name string) (*Bond, error) {
	ask := r.Teamd
	if ask == nil {
		ask = teamdctl
	}
	text, err := ask(ctx, name)
	if err != nil {
		return nil, runningProblem(name, err)
	}
	b, err := readTeamd("teamdctl "+name+" config dump", readable(text), name)
	if err != nil {
		return nil, err
	}
	return b, r.network(b)
}

// teamdctl runs the program of that name.
func teamdctl(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "teamdctl", name, "config", "dump").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

func runningProblem(name string, err error) error {
	p := &api.Problem{Kind: api.NotFound, What: "import " + name,
		Why: name + " is no bond of the kernel, and no team that teamd answers for: " + err.Error(),
		Fix: "give the file that configures it", Err: err}
	if errors.Is(err, fs.ErrPermission) {
		p.Kind, p.Fix = api.NotPermitted, "use sudo"
	}
	return p
}

// readSys reads a file of sysfs, without the end of its line.
func readSys(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
