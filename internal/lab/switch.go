// SPDX-License-Identifier: MIT

package lab

import (
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
)

const bridgeName = "switch"

// SwitchOptions say what kind of switch to make. The zero value learns addresses.
type SwitchOptions struct {
	// Flooding disables learning: each frame leaves by all other ports.
	Flooding bool
}

// Switch is a bridge in a network namespace of its own. The devices of cables and wires that end in it are its ports.
// It has no IP and sends no frame of its own.
type Switch struct {
	*Host

	mu   sync.Mutex
	lags map[string]*LAG // by member port
}

// NewSwitch makes a switch without ports.
func NewSwitch(name string, o SwitchOptions) (*Switch, error) {
	h, err := NewHost(name)
	if err != nil {
		return nil, err
	}
	s := &Switch{Host: h, lags: map[string]*LAG{}}
	if err := s.build(o); err != nil {
		h.Close()
		return nil, fmt.Errorf("new switch %s: %w", name, err)
	}
	return s, nil
}

func (s *Switch) build(o SwitchOptions) error {
	for _, key := range []string{"ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"} {
		// Absent where the kernel has no IPv6.
		_ = s.Sysctl(key, "1")
	}
	snooping := false
	br := &netlink.Bridge{LinkAttrs: linkAttrs(bridgeName), MulticastSnooping: &snooping}
	if o.Flooding {
		br.AgeingTime = new(uint32)
	}
	if err := s.handle.LinkAdd(br); err != nil {
		return fmt.Errorf("add bridge: %w", err)
	}
	return s.Up(bridgeName)
}

// devicePlugged adds a device to the bridge, unless it returns to a LAG.
func (s *Switch) devicePlugged(name string) error {
	s.mu.Lock()
	lag := s.lags[name]
	s.mu.Unlock()
	if lag != nil {
		if err := s.Up(name); err != nil {
			return err
		}
		return lag.join(name)
	}
	return s.enslave(name)
}

// carrierChanged makes a LAG refresh at once after a line changed one of its ports.
func (s *Switch) carrierChanged(name string) {
	s.mu.Lock()
	lag := s.lags[name]
	s.mu.Unlock()
	if lag != nil {
		_ = lag.refresh() // watch tries again
	}
}

func (s *Switch) isPort() bool { return true }

func (s *Switch) enslave(name string) error {
	br, err := s.handle.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	if err := s.withLink(name, "make a port of", func(l netlink.Link) error {
		return s.handle.LinkSetMaster(l, br)
	}); err != nil {
		return err
	}
	return s.Up(name)
}

func linkAttrs(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}
