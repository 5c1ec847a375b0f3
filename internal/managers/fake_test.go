// SPDX-License-Identifier: MIT

package managers

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// fakeBus is a system bus whose services are functions.
type fakeBus struct {
	t      *testing.T
	socket string
	thread uint32 // of this network namespace, in place of a service's process

	mu       sync.Mutex
	services map[string]service // by bus name
	conns    []net.Conn
	calls    []string // "Member arguments", in order, without reads
}

// service answers a call; a *dbus.Error is an error reply.
type service func(path dbus.ObjectPath, member string, in []any) ([]any, *dbus.Error)

func newFakeBus(t *testing.T) *fakeBus {
	t.Helper()
	b := &fakeBus{t: t, socket: filepath.Join(t.TempDir(), "bus"), services: map[string]service{}}
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	running := make(chan struct{})
	go func() {
		runtime.LockOSThread() // other tests leave threads in other network namespaces, among them the main one
		b.thread = uint32(unix.Gettid())
		close(running)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	<-running
	return b
}

// serve speaks the server's side of the handshake, then answers calls.
func (b *fakeBus) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	if _, err := in.ReadByte(); err != nil { // the null byte before everything
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		answer := "ERROR"
		switch fields := strings.Fields(line); {
		case fields[0] == "BEGIN":
			b.answer(c, in)
			return
		case fields[0] == "AUTH" && len(fields) == 1:
			answer = "REJECTED EXTERNAL"
		case fields[0] == "AUTH":
			answer = "OK 0123456789abcdef0123456789abcdef"
		}
		if _, err := fmt.Fprintf(c, "%s\r\n", answer); err != nil {
			return
		}
	}
}

func (b *fakeBus) answer(c net.Conn, in *bufio.Reader) {
	b.mu.Lock()
	b.conns = append(b.conns, c)
	b.mu.Unlock()
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		b.mu.Lock()
		out, failed := b.dispatch(m)
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: out, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())}}
		if failed != nil {
			reply.Type, reply.Body = dbus.TypeError, failed.Body
			reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant(failed.Name)
		}
		b.send(c, reply)
		b.mu.Unlock()
	}
}

func (b *fakeBus) send(c net.Conn, m *dbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	_ = m.EncodeTo(c, binary.LittleEndian) // the client may have gone
}

func (b *fakeBus) dispatch(m *dbus.Message) ([]any, *dbus.Error) {
	to, _ := m.Headers[dbus.FieldDestination].Value().(string)
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	if to == "org.freedesktop.DBus" {
		switch member {
		case "Hello":
			return []any{":1.1"}, nil
		case "AddMatch", "RemoveMatch":
			return nil, nil
		case "GetConnectionUnixProcessID":
			if _, ok := b.services[m.Body[0].(string)]; ok {
				return []any{b.thread}, nil
			}
		}
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.NameHasNoOwner"}
	}
	serve, ok := b.services[to]
	if !ok {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.ServiceUnknown"}
	}
	if !strings.HasPrefix(member, "Get") {
		b.calls = append(b.calls, fmt.Sprintf("%s %v", member, m.Body))
	}
	return serve(path, member, m.Body)
}

// settle waits until the bus has finished its last call. A test calls it before and after it looks at a service itself.
func (b *fakeBus) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
}

// provide makes a service appear, or disappear (nil), and says so to all clients.
func (b *fakeBus) provide(name string, s service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.services[name] = s; s == nil {
		delete(b.services, name)
	}
	b.signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", name, "", ":1.2")
}

// signal sends a signal to all clients. The caller holds mu.
func (b *fakeBus) signal(path dbus.ObjectPath, iface, member string, body ...any) {
	for _, c := range b.conns {
		b.send(c, &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(iface),
			dbus.FieldMember: dbus.MakeVariant(member), dbus.FieldSender: dbus.MakeVariant(":1.2")}})
	}
}

// seen returns the calls since the last seen.
func (b *fakeBus) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.calls
	b.calls = nil
	return list
}

// previewSteps is Preview in words.
func previewSteps(t *testing.T, team *Team) (steps []string) {
	for _, told := range team.Preview(t.Context(), links) {
		steps = append(steps, told.Step("team0"))
	}
	return steps
}
