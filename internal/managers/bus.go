// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// systemBus is where every distribution has the socket of the system bus.
const systemBus = "/run/dbus/system_bus_socket"

// callTimeout bounds a call: a manager that hangs must not hold up a team.
const callTimeout = 3 * time.Second

// errNoBus: the host has no system bus.
var errNoBus = errors.New("no system bus")

// bus is a connection to the system bus.
type bus struct{ conn *dbus.Conn }

// dial connects to the system bus at a socket. The connection lives as long as ctx.
func dial(ctx context.Context, socket string) (*bus, error) {
	if _, err := os.Stat(socket); err != nil {
		return nil, errNoBus
	}
	type result struct {
		conn *dbus.Conn
		err  error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { // the handshake has no timeout of its own
		conn, err := dbus.Connect("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(ctx),
			dbus.WithAuth(dbus.AuthExternal(strconv.Itoa(os.Geteuid()))))
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			cancel()
			return nil, fmt.Errorf("connect to the system bus: %w", r.err)
		}
		context.AfterFunc(r.conn.Context(), cancel)
		return &bus{r.conn}, nil
	case <-time.After(callTimeout):
		cancel()
		return nil, errors.New("connect to the system bus: no answer")
	}
}

func (b *bus) close() { _ = b.conn.Close() }

// call calls a method and stores its answer in out. It starts no service.
func (b *bus) call(ctx context.Context, to string, path dbus.ObjectPath, method string, in []any, out ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := b.conn.Object(to, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, in...)
	if c.Err != nil {
		return fmt.Errorf("%s: %w", method, c.Err)
	}
	if len(out) == 0 {
		return nil
	}
	if err := c.Store(out...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// properties reads all properties of an interface of an object.
func (b *bus) properties(ctx context.Context, to string, path dbus.ObjectPath, iface string) (properties, error) {
	p := properties{}
	return p, b.call(ctx, to, path, "org.freedesktop.DBus.Properties.GetAll", []any{iface}, &p)
}

type properties map[string]dbus.Variant

// store stores a property in to; a missing one, or one of another type, leaves it unchanged.
func (p properties) store(name string, to any) {
	if v, ok := p[name]; ok {
		_ = dbus.Store([]any{v.Value()}, to)
	}
}

// serves reports whether the owner of a bus name runs, and in the network namespace of this thread.
func (b *bus) serves(ctx context.Context, name string) bool {
	var pid uint32
	err := b.call(ctx, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus.GetConnectionUnixProcessID", []any{name}, &pid)
	return err == nil && sharesNetwork(pid)
}

// sharesNetwork reports whether a process is in the network namespace of this thread. It needs no rights: every
// namespace has inodes of its own in /proc/net, which anybody may read, while /proc/PID/ns/net asks for those of
// ptrace. A process that is hidden (ProtectProc=invisible) is where the one is that started us: here.
func sharesNetwork(pid uint32) bool {
	var here, there unix.Stat_t
	if unix.Stat("/proc/thread-self/net/dev", &here) != nil {
		return false
	}
	if err := unix.Stat(fmt.Sprintf("/proc/%d/net/dev", pid), &there); err != nil {
		return errors.Is(err, unix.ENOENT) && os.Getenv("INVOCATION_ID") != ""
	}
	return here.Ino == there.Ino && here.Dev == there.Dev
}

// whose returns the bus if the owner of a name serves this network namespace, else nil.
func (b *bus) whose(ctx context.Context, name string) *bus {
	if b == nil || !b.serves(ctx, name) {
		return nil
	}
	return b
}
