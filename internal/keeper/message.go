// SPDX-License-Identifier: MIT

package keeper

import (
	"bytes"
	"net"

	"golang.org/x/sys/unix"
)

// A message of the child, see sd_notify(3). Lines that a keeper has no use for, such as STATUS, are left out.
type message struct {
	ready, watchdog, barrier bool
	store, remove            bool
	name                     string // FDNAME
	fds                      []int
}

func parseMessage(text []byte) (m message) {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		switch key, value, _ := bytes.Cut(line, []byte("=")); string(key) {
		case "READY":
			m.ready = string(value) == "1"
		case "WATCHDOG":
			m.watchdog = string(value) == "1"
		case "BARRIER":
			m.barrier = string(value) == "1"
		case "FDSTORE":
			m.store = string(value) == "1"
		case "FDSTOREREMOVE":
			m.remove = string(value) == "1"
		case "FDNAME":
			m.name = string(value)
		}
	}
	return m
}

const (
	maxMessage = 4096
	maxFDs     = 8 // of a message; the kernel closes those for which there is no room
)

// receive delivers the messages of a child until its side of the socket is closed or the read deadline has passed.
func receive(c *net.UnixConn, messages chan<- message) {
	defer close(messages)
	text, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(maxFDs*4))
	for {
		n, oobn, _, _, err := c.ReadMsgUnix(text, oob)
		if err != nil {
			return
		}
		m := parseMessage(text[:n])
		parts, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err == nil {
			for _, p := range parts {
				fds, _ := unix.ParseUnixRights(&p)
				m.fds = append(m.fds, fds...)
			}
		}
		messages <- m
	}
}

func (m message) closeFDs() {
	for _, fd := range m.fds {
		_ = unix.Close(fd)
	}
}
