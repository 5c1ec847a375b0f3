package lab

import (
	"errors"
	"fmt"
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

// Node is where a cable can end: a Host, or a Switch, which puts the device into its bridge.
type Node interface {
	base() *Host
	// devicePlugged is called with each device that appears in the node.
	devicePlugged(name string) error
	// carrierChanged is called when a line took or gave a device's carrier.
	carrierChanged(name string)
	// isPort reports that devices in the node are ports of a switch, which hear all, and no NICs.
	isPort() bool
}

// Host is a network namespace that stands for a machine: own devices, own loopback, own sysctls,
// own host name, and for its processes an own /sys, /run/nicteam, /etc/nicteam and /var/lib/nicteam.
// It is named in /run/netns, so `ip netns exec NAME` works too. Methods may be called at any time from any goroutine.
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
		// Never unlocked: the thread is of no use afterwards and ends with the goroutine.
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

// unshare makes the namespaces on the calling thread and keeps them by descriptors.
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
			continue // outside Isolate nothing is made on the real disk
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

// Handle speaks rtnetlink in the host. It is closed by Close.
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
		// A thread that cannot go back stays locked, so the runtime ends it with its goroutine.
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

// deferClose has Close call f, the last one first.
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
		// A closed netlink.Handle speaks to the calling thread's namespace instead of failing, so
		// a late call could remove the machine's own eth0. Closing a copy leaves ours with dead sockets.
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
