// SPDX-License-Identifier: MIT

package ssh

import (
	"fmt"
	"net/netip"
	"strings"
)

// Connection is the TCP connection of an SSH session. The zero value is none.
type Connection struct{ Client, Server netip.AddrPort }

// IsZero reports whether this is no connection.
func (c Connection) IsZero() bool { return c == Connection{} }

// String returns CLIENT:PORT-SERVER:PORT as Parse reads it, "" for none. An IPv6 address is in brackets; its zone,
// which a link-local one has, stays.
func (c Connection) String() string {
	if c.IsZero() {
		return ""
	}
	return c.Client.String() + "-" + c.Server.String()
}

// Parse reads CLIENT:PORT-SERVER:PORT; "" is no connection. The name of a zone may have a hyphen, too.
func Parse(text string) (Connection, error) {
	if text == "" {
		return Connection{}, nil
	}
	for i := range len(text) {
		if text[i] != '-' {
			continue
		}
		client, err := netip.ParseAddrPort(text[:i])
		if err != nil {
			continue
		}
		server, err := netip.ParseAddrPort(text[i+1:])
		if err == nil && client.Port() != 0 && server.Port() != 0 {
			return Connection{Client: client, Server: server}, nil
		}
	}
	return Connection{}, fmt.Errorf("%.200q is not CLIENT:PORT-SERVER:PORT", strings.TrimSpace(text))
}
