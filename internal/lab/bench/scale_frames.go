// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// scaleFlows are the numbers of flows that are compared.
var scaleFlows = []int{10, 1_000, 100_000}

// scaleFrames measures what one frame out costs, by the number of members and of flows: the way of a frame has no loop
// over either.
func (b *bench) scaleFrames(ctx context.Context) {
	what := "one thread sends UDP frames of 64 octets, 32 at a time and each of the next flow, to a host that is not " +
		"there: time for one, of the quickest quarter the slowest"
	byMembers := b.measure("scale-frame", what+"; 1000 flows, xor, by number of members", "ns")
	if b.wants(byMembers.Name) {
		all := []contestant{b.flowsOver(ctx, plain, 0, 1_000)}
		for _, n := range scaleMembers {
			name := strconv.Itoa(n)
			all = append(all, b.flowsOver(ctx, name, n, 1_000, "--mode", "xor"))
			byMembers.compare(name, plain)
			if n != scaleMembers[0] {
				byMembers.compare(name, strconv.Itoa(scaleMembers[0]))
			}
		}
		b.interleave(ctx, b.rounds, all, byMembers)
		b.endFlows()
	}
	for _, mode := range []string{"xor", "elb"} {
		name := "scale-flows"
		if mode == "elb" {
			name += "-elb"
		}
		m := b.measure(name, "the same by number of flows, over 8 members, "+mode, "ns")
		if !b.wants(name) {
			continue
		}
		var all []contestant
		for _, flows := range scaleFlows {
			all = append(all, b.flowsOver(ctx, strconv.Itoa(flows), 8, flows, "--mode", mode))
			if flows != scaleFlows[0] {
				m.compare(strconv.Itoa(flows), strconv.Itoa(scaleFlows[0]))
			}
		}
		b.interleave(ctx, b.rounds, all, m)
		b.endFlows()
	}
}

// flowsOver is a contestant that sends flows over a team of members, or over a plain NIC with none.
func (b *bench) flowsOver(ctx context.Context, name string, members, flows int, settings ...string) contestant {
	c := contestant{name: name}
	r, err := b.direct("flows", max(members, 1))
	if err != nil {
		c.missing = err
		return c
	}
	b.flowRigs = append(b.flowRigs, r)
	through := "eth1"
	if members == 0 {
		err = r.plain(ctx)
	} else {
		through = teamName
		var create []string
		if create, err = r.manyMembers(ctx, members, settings...); err == nil {
			if err = r.nicteam(ctx, create...); err == nil {
				_, err = r.awaitStatus(ctx, "the team is up", isUp)
			}
		}
	}
	if err == nil {
		err = r.addGhost(through)
	}
	c.missing = err
	c.take = func(ctx context.Context) ([]float64, error) {
		p, err := manyFlows(r.box, flows)
		if err != nil {
			return nil, err
		}
		defer p.close()
		took, err := p.cost(b.turn / 4)
		if err == nil {
			err = r.checkDatapath(ctx)
		}
		return []float64{took}, err
	}
	return c
}

func isUp(s *api.Status) bool { return s.State == "up" }

// endFlows ends the hosts of flowsOver.
func (b *bench) endFlows() {
	for _, r := range b.flowRigs {
		b.close(r)
	}
	b.flowRigs = nil
}

// ghostAddr is a host that is not there: peer drops frames to it as soon as they have come.
var ghostAddr, ghostMAC = [4]byte{10, 9, 0, 99}, net.HardwareAddr{2, 0, 0, 0, 0, 0x99}

// addGhost makes it box's neighbour.
func (r *rig) addGhost(through string) error {
	l, err := r.box.Handle().LinkByName(through)
	if err != nil {
		return err
	}
	return r.box.Handle().NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_INET,
		State: netlink.NUD_PERMANENT, IP: net.IP(ghostAddr[:]), HardwareAddr: ghostMAC})
}

// flowPorts are the destination ports of one socket's flows.
const flowPorts = 50_000

// manyFlows sends to ghostAddr, each frame of the next flow. Nobody receives.
func manyFlows(from *lab.Host, flows int) (p *pair, err error) {
	p = &pair{out: -1, in: -1, of: frameBatch}
	err = from.Do(func() (err error) {
		for _, fd := range []*int{&p.out, &p.in} {
			if *fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(*fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20)
		}
		return nil
	})
	if err != nil {
		p.close()
		return nil, err
	}
	if flows > 2*flowPorts {
		p.close()
		return nil, errors.New("too many flows")
	}
	sent, _ := messages(frameBatch, framePayload)
	names := make([]unix.RawSockaddrInet4, frameBatch)
	for i := range sent {
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ghostAddr}
		sent[i].hdr.Name, sent[i].hdr.Namelen = (*byte)(unsafe.Pointer(&names[i])), unix.SizeofSockaddrInet4
	}
	next := 0
	p.round = func() error {
		fd := p.out
		if next >= flowPorts {
			fd = p.in
		}
		for i := range names {
			port := uint16(1024 + next%flowPorts)
			names[i].Port = port<<8 | port>>8
			if next++; next >= flows {
				next = 0
			}
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(sent))),
			frameBatch, 0, 0, 0)
		if errno != 0 || n != frameBatch {
			return fmt.Errorf("send %d datagrams: %d were sent: %w", frameBatch, n, errno)
		}
		return nil
	}
	return p, nil
}
