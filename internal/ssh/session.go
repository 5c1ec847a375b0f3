// SPDX-License-Identifier: MIT

package ssh

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Session is an SSH session whose connection ends at this host.
type Session struct {
	Connection
	By     []string // Connection.Links: what its packets leave by
	Caller bool     // it carries this process
}

// OfCaller returns the connection that carries this process: of SSH_CONNECTION if it is established here, else of the
// nearest ancestor that is an SSH server, as sudo drops the environment. The variable is older than the connection
// where a terminal multiplexer keeps it.
func OfCaller() (Connection, bool) {
	if c, err := ParseEnv(os.Getenv("SSH_CONNECTION")); err == nil && !c.IsZero() {
		if s, ok, err := c.socket(); err == nil && ok {
			return s.connection(), true
		}
	}
	for _, pid := range ancestors(os.Getpid()) {
		if !isServer(pid) {
			continue
		}
		if list := connectionsOf(pid); len(list) > 0 {
			return list[0], true
		}
	}
	return Connection{}, false
}

// Sessions lists the SSH sessions of this host, the caller's first. Without root's rights it knows the caller's alone.
func Sessions() (list []Session) {
	own, carried := OfCaller()
	if carried {
		list = append(list, Session{Connection: own, By: own.Links(), Caller: true})
	}
	for _, c := range connectionsOf(serverProcesses()...) {
		if c != own {
			list = append(list, Session{Connection: c, By: c.Links()})
		}
	}
	return list
}

// ByNIC lists the sessions that go by one of these links, the caller's first.
func ByNIC(names ...string) []Session {
	return slices.DeleteFunc(Sessions(), func(s Session) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.By, n) })
	})
}

// connectionsOf lists the established connections that these processes hold, from other hosts, each once.
func connectionsOf(pids ...int) (list []Connection) {
	var all []socket
	for _, pid := range pids {
		inodes := socketInodes(pid)
		if len(inodes) == 0 {
			continue
		}
		if all == nil {
			var err error
			if all, err = sockets(stateEstablished, 0, 0); err != nil {
				return nil
			}
		}
		for _, s := range all {
			if c := s.connection(); inodes[s.inode] && !s.remote.Addr().IsLoopback() && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

var errEnv = errors.New("SSH_CONNECTION is not CLIENT PORT SERVER PORT")

// ParseEnv reads SSH_CONNECTION (ssh(1)): CLIENT PORT SERVER PORT; "" is no connection.
func ParseEnv(text string) (Connection, error) {
	if text == "" {
		return Connection{}, nil
	}
	f := strings.Fields(text)
	if len(f) != 4 {
		return Connection{}, errEnv
	}
	end := func(address, port string) (netip.AddrPort, bool) {
		a, err := netip.ParseAddr(address)
		p, err2 := strconv.ParseUint(port, 10, 16)
		return netip.AddrPortFrom(a.Unmap(), uint16(p)), err == nil && err2 == nil && p != 0
	}
	client, ok := end(f[0], f[1])
	server, ok2 := end(f[2], f[3])
	if !ok || !ok2 {
		return Connection{}, errEnv
	}
	return Connection{Client: client, Server: server}, nil
}
