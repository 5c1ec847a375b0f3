// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/atomicfile"
)

// Names of org.freedesktop.network1(5).
const (
	networkdName    = "org.freedesktop.network1"
	networkdPath    = "/org/freedesktop/network1"
	networkdManager = "org.freedesktop.network1.Manager"
)

// networkd is systemd-networkd by its files. It reads ours in its directory at its start and at each reload; the
// directory is gone after a boot, so a host whose team does not come back is served as before.
type networkd struct {
	root string // tests: of all paths; "" on a host
	team string
}

// networkdDirs are where systemd-networkd looks for files, the first wins.
var networkdDirs = []string{"/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network",
	"/usr/lib/systemd/network", "/lib/systemd/network"}

// The names of our files: systemd-networkd takes the first file that matches, and a minus sorts before digits.
func (n networkd) adapterFile() string { return n.file(".network") }
func (n networkd) membersFile() string { return n.file("-members.network") }

func (n networkd) file(suffix string) string {
	return filepath.Join(n.root, "/run/systemd/network", "0-nicteam-"+n.team+suffix)
}

// linkState is what systemd-networkd says of a link.
type linkState struct {
	admin string // "configured", "configuring", "unmanaged", "pending", …
	file  string // the .network file in force
	iaid  uint32 // of its DHCP client, 0 if it is unknown
}

// managed reports whether systemd-networkd serves the link.
func (l linkState) managed() bool { return l.file != "" && l.admin != "unmanaged" }

// link reads the state of a link, zero if systemd-networkd has none.
func (n networkd) link(index int) (l linkState) {
	id := strconv.Itoa(index)
	state := n.assignments("/run/systemd/netif/links/" + id)
	l.admin, l.file = state["ADMIN_STATE"], state["NETWORK_FILE"]
	// An identifier of RFC 4361: 255, IAID, DUID.
	client, err := hex.DecodeString(n.assignments("/run/systemd/netif/leases/" + id)["CLIENTID"])
	if err == nil && len(client) > 5 && client[0] == 0xff {
		l.iaid = uint32(client[1])<<24 | uint32(client[2])<<16 | uint32(client[3])<<8 | uint32(client[4])
	} else if v, err := strconv.ParseUint(state["DHCP6_CLIENT_IAID"], 0, 32); err == nil {
		l.iaid = uint32(v)
	}
	return l
}

// assignments reads a file of NAME=value lines.
func (n networkd) assignments(path string) map[string]string {
	m := map[string]string{}
	text, _ := os.ReadFile(filepath.Join(n.root, path))
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[name] = value
		}
	}
	return m
}

// sources returns a .network file and its drop-ins in the order in which systemd-networkd applies them.
func (n networkd) sources(file string) (paths, texts []string, err error) {
	paths = []string{file}
	dropins := map[string]string{} // by name
	for _, dir := range slices.Backward(networkdDirs) {
		found, _ := filepath.Glob(filepath.Join(n.root, dir, filepath.Base(file)+".d", "*.conf"))
		for _, path := range found {
			dropins[filepath.Base(path)] = strings.TrimPrefix(path, n.root)
		}
	}
	names := make([]string, 0, len(dropins))
	for name := range dropins {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		paths = append(paths, dropins[name])
	}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(n.root, path))
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, string(text))
	}
	return paths, texts, nil
}

// write writes one of our files. changed is false if it says so already.
func (n networkd) write(path, text string) (changed bool, err error) {
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return false, nil
	}
	if err := n.makeDir(); err != nil {
		return false, err
	}
	return true, atomicfile.Write(path, 0o644, func(w io.Writer) error { // systemd-networkd has a user of its own
		_, err := io.WriteString(w, text)
		return err
	})
}

// makeDir makes the directory of our files, which any user may read, whatever the umask.
func (n networkd) makeDir() error {
	dir := filepath.Dir(n.adapterFile())
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// Dirs are the directories in which a team's process writes files for managers.
var Dirs = []string{"/run/systemd/network"}

// MakeDirs makes Dirs, on hosts that use them. A process that is confined may write to those that exist.
func MakeDirs() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	return networkd{}.makeDir()
}

// remove removes our files. removed is false if there is none.
func (n networkd) remove() (removed bool, err error) {
	for _, path := range []string{n.adapterFile(), n.membersFile()} {
		switch e := os.Remove(path); {
		case e == nil:
			removed = true
		case !errors.Is(e, fs.ErrNotExist):
			err = errors.Join(err, e)
		}
	}
	return removed, err
}

// reloadNetworkd makes systemd-networkd read its files. It reconfigures links whose file has changed, and no others.
func (b *bus) reloadNetworkd(ctx context.Context) error {
	return b.call(ctx, networkdName, networkdPath, networkdManager+".Reload", nil)
}

// validName reports whether a link's name means only itself in a file, where names are patterns.
func validName(name string) bool { return !strings.ContainsAny(name, "*?[]!\\\"'%$#;= \t") }

// errName is the reason why a link cannot be told of.
func errName(name string) error { return fmt.Errorf("the name %q has characters of patterns", name) }
