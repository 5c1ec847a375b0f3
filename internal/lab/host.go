// SPDX-License-Identifier: MIT

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Node is an end of a cable: a Host, or a Switch, whose bridge gets the device.
type Node interface {
	base() *Host
	// devicePlugged is called with each device that appears in the node.
	devicePlugged(name string) error
	// carrierChanged is called when a line took or gave a device's carrier.
	carrierChanged(name string)
	// isPort reports whether devices in the node are ports of a switch, which receive all frames, and not NICs.
	isPort() bool
}

// Host is a network namespace that represents a machine: it has its own devices, loopback, sysctls and host name, and
// its processes their own /sys, /run/nicteam, /etc/nicteam and /var/lib/nicteam. It has a name in /run/netns, so `ip
// netns exec NAME` works. Methods may be called from any goroutine.
type Host struct {
	Name string // unique on the machine; made of the name asked for

	net, mnt, uts int // namespace descriptors
	inode         uint64
	dir           string // what the host has of its own in the file system
	handle        *netlink.Handle

	mu     sync.Mutex
	undo   []func() error
	closed bool
}

var hostCount atomic.Int64

// NewHost makes a host with lo up and nothing else.
func NewHost(name string) (*Host, error) {
	h := &Host{Name: fmt.Sprintf("lab%d-%d-%s", os.Getpid(), hostCount.Add(1), name), net: -1, mnt: -1, uts: -1}
	if err := h.build(name); err != nil {
		h.Close()
		return nil, fmt.Errorf("new host %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) build(hostname string) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/lab", 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/run/lab", hostname+"-")
	if err != nil {
		return err
	}
	h.dir = dir
	h.deferClose(func() error { return os.RemoveAll(dir) })
	for _, d := range privateDirs {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}

	made := make(chan error)
	go func() {
		// Never unlocked: the thread has left the program's namespaces and ends with the goroutine.
		runtime.LockOSThread()
		made <- h.unshare(hostname)
	}()
	if err := <-made; err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(h.net, &st); err != nil {
		return fmt.Errorf("stat namespace: %w", err)
	}
	h.inode = st.Ino

	path := filepath.Join("/run/netns", h.Name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	h.deferClose(func() error { return os.Remove(path) })
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", h.net), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("name namespace: %w", err)
	}
	h.deferClose(func() error { return unix.Unmount(path, unix.MNT_DETACH) })

	h.handle, err = netlink.NewHandleAt(netns.NsHandle(h.net), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	lo, err := h.handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := h.handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// unshare creates the namespaces on the calling thread and keeps their descriptors.
func (h *Host) unshare(hostname string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	if err := mountSys(); err != nil {
		return err
	}
	for _, d := range privateDirs {
		if _, err := os.Stat(d); err != nil {
			continue // outside Isolate nothing is created on the disk
		}
		if err := unix.Mount(filepath.Join(h.dir, d), d, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", d, err)
		}
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	for _, ns := range []struct {
		fd   *int
		name string
	}{{&h.net, "net"}, {&h.mnt, "mnt"}, {&h.uts, "uts"}} {
		fd, err := unix.Open("/proc/thread-self/ns/"+ns.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open namespace %s: %w", ns.name, err)
		}
		*ns.fd = fd
	}
	return nil
}

func (h *Host) base() *Host { return h }

func (h *Host) devicePlugged(name string) error { return h.Up(name) }

func (h *Host) carrierChanged(string) {}

func (h *Host) isPort() bool { return false }

// Handle is the host's rtnetlink handle. Close closes it.
func (h *Host) Handle() *netlink.Handle { return h.handle }

// NetNS is the namespace's descriptor, borrowed, for netlink.NsFd and subscriptions.
func (h *Host) NetNS() int { return h.net }

// Path returns where the file that the host's processes see as p is for this process:
// h.Path("/run/nicteam/team0.sock") can be dialled from here.
func (h *Host) Path(p string) string {
	for _, d := range privateDirs {
		if p == d || strings.HasPrefix(p, d+"/") {
			return filepath.Join(h.dir, p)
		}
	}
	return p
}

// Do runs f on a thread that is in the host's network namespace. Sockets made by f stay there;
// goroutines started by f do not run there. Calls may nest.
func (h *Host) Do(f func() error) error {
	runtime.LockOSThread()
	back, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter host %s: %w", h.Name, err)
	}
	defer unix.Close(back)
	if err := unix.Setns(h.net, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter host %s: %w", h.Name, err)
	}
	returned := false
	defer func() {
		// A thread that cannot return to its namespace stays locked, so the runtime ends it with its goroutine.
		if unix.Setns(back, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		} else if returned {
			panic("lab: cannot leave network namespace of " + h.Name)
		}
	}()
	err = f()
	returned = true
	return err
}

// Up sets a device up.
func (h *Host) Up(name string) error {
	return h.withLink(name, "set up", h.handle.LinkSetUp)
}

// Down sets a device administratively down.
func (h *Host) Down(name string) error {
	return h.withLink(name, "set down", h.handle.LinkSetDown)
}

// Sysctl writes /proc/sys/net/KEY of the host; the key's separator is the slash.
func (h *Host) Sysctl(key, value string) error {
	return h.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

func (h *Host) withLink(name, what string, f func(netlink.Link) error) error {
	l, err := h.handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, name, h.Name, err)
	}
	if err := f(l); err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, name, h.Name, err)
	}
	return nil
}

// deferClose makes Close call f, the last one first.
func (h *Host) deferClose(f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.undo = append(h.undo, f)
}

// Close ends the host's processes and removes the host with its devices. Closing twice is fine.
func (h *Host) Close() error {
	h.mu.Lock()
	undo, closed := h.undo, h.closed
	h.undo, h.closed = nil, true
	h.mu.Unlock()
	if closed {
		return nil
	}
	h.killAll()
	var errs []error
	for i := len(undo) - 1; i >= 0; i-- {
		errs = append(errs, undo[i]())
	}
	if h.handle != nil {
		// A closed netlink.Handle uses the calling thread's namespace instead of failing, so a late call could remove
		// the machine's eth0. Closing a copy leaves this one with dead sockets.
		dead := *h.handle
		dead.Close()
	}
	for _, fd := range []int{h.net, h.mnt, h.uts} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return errors.Join(errs...)
}

// killAll ends every process whose network namespace is this host's: the commands and what they
// left behind, such as daemons.
func (h *Host) killAll() {
	if h.inode == 0 {
		return
	}
	for range 10 {
		found := false
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == os.Getpid() {
				continue
			}
			var st unix.Stat_t
			if unix.Stat("/proc/"+e.Name()+"/ns/net", &st) == nil && st.Ino == h.inode {
				found = true
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if !found {
			return
		}
	}
}

// Listen opens a stream listener in the host.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket opens a datagram socket in the host.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = h.Do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial connects from the host. The address must be literal: a resolver, and the second of two
// address families tried at once, would run on other threads. Its signature fits http.Transport.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.Do(func() error {
		d := net.Dialer{FallbackDelay: -1}
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}
