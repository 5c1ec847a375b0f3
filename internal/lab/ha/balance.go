// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// UseHAProxy lets haproxy, and no rules of nftables, share connections out on both directors.
func (s *Site) UseHAProxy(ctx context.Context) error {
	for _, d := range s.Directors() {
		if err := d.run("nft", "delete", "table", "ip", "balance"); err != nil {
			return err
		}
		if err := d.start("haproxy", "haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"); err != nil {
			return err
		}
	}
	for _, d := range s.Directors() {
		err := await(ctx, 10*time.Second, func() bool {
			_, err := d.tellHAProxy("show info")
			return err == nil
		})
		if err != nil {
			return fmt.Errorf("%s: haproxy: %w: %s", d.Label, err, d.Log("haproxy"))
		}
	}
	return nil
}

// tellHAProxy sends a command and returns the answer.
func (h *Server) tellHAProxy(command string) (string, error) {
	c, err := net.DialTimeout("unix", filepath.Join(h.dir, "run/haproxy/admin.sock"), time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// SetServer takes a server out of a service of haproxy on vs1 for new connections, or back.
func (s *Site) SetServer(service, server string, takes bool) error {
	state := map[bool]string{true: "ready", false: "drain"}[takes]
	out, err := s.VS1.tellHAProxy(fmt.Sprintf("set server %s/%s state %s", service, server, state))
	if err == nil && len(out) > 1 {
		err = fmt.Errorf("haproxy says %q", out)
	}
	return err
}

// Hold opens so many connections to a service that stay open until the returned function is called.
func (s *Site) Hold(ctx context.Context, to netip.AddrPort, n int) (release func(), err error) {
	var open []net.Conn
	release = func() {
		for _, c := range open {
			c.Close()
		}
	}
	for range n {
		c, err := s.Client.Dial(ctx, "tcp4", to.String())
		if err != nil {
			release()
			return nil, err
		}
		open = append(open, c)
	}
	return release, nil
}

// AddClients gives the client further addresses, each of which is a client of its own to a director.
func (s *Site) AddClients(n int) (list []netip.Addr, err error) {
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(101 + i)})
		if err := s.Client.SetAddr("eth0", a.String()+"/24"); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// RealDies takes real1 away, by its process alone or as a host, while a balancer that asks servers shares requests out,
// and brings it back. Once the balancer has noticed, no request fails.
func (t *Traffic) RealDies(ctx context.Context, host bool, notices time.Duration) *Result {
	s, r := t.site, &Result{Step: "the process on real1 dies"}
	real1 := s.Real[0]
	begun := time.Now()
	if host {
		r.Step = "real1 dies"
		for _, nic := range nics {
			r.check(real1.Cut(nic))
		}
	} else {
		r.check(real1.StopServices())
	}
	r.check(pause(ctx, notices))
	noticed := time.Now()
	r.check(pause(ctx, 2*time.Second))
	over := time.Now()
	a := t.requests.Between(noticed, over)
	if a.Failed > 0 || a.By[real1.Label] > 0 {
		r.broken("%v after real1 died: %v", notices, a)
	}
	r.Answers = t.requests.Between(begun, over)
	if host {
		for _, nic := range nics {
			r.check(real1.Mend(nic))
		}
	} else {
		r.check(real1.StartServices())
	}
	back := time.Now()
	err := await(ctx, 15*time.Second, func() bool {
		a, _ := t.requests.between(back, time.Now())
		return a.By[real1.Label] >= 20
	})
	if err != nil {
		r.broken("real1 does not get requests again: %v", err)
	}
	if a := t.requests.Between(back, time.Now()); a.Failed > 0 {
		r.broken("real1 returns: %d requests failed: %v", a.Failed, a.First)
	}
	return r
}

// Equal are the addresses of two equal servers.
var Equal = []netip.Addr{netip.MustParseAddr("10.0.0.21"), netip.MustParseAddr("10.0.0.22")}

// MakeEqual makes real1 and real2 equal servers: each has an address and stands in for the other's. It returns when
// both have theirs.
func (s *Site) MakeEqual(ctx context.Context) (*Holders, error) {
	holders, err := watchAddresses(Equal, s.Real[:]...)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, holders.close)
	for i, r := range s.Real {
		conf := map[string]string{"keepalived/keepalived.conf": fmt.Sprintf("equal%d/keepalived.conf", i+1)}
		if err := r.install(conf, s.o.keepalived); err != nil {
			return nil, err
		}
		if err := r.StartKeepalived(); err != nil {
			return nil, err
		}
	}
	return holders, s.awaitEqual(ctx, holders, s.Real[0].Label, s.Real[1].Label)
}

func (s *Site) awaitEqual(ctx context.Context, h *Holders, first, second string) error {
	err := await(ctx, 15*time.Second, func() bool {
		return slices.Equal(h.Of(Equal[0]), []string{first}) && slices.Equal(h.Of(Equal[1]), []string{second})
	})
	if err != nil {
		return fmt.Errorf("%v has %v, %v has %v: %w\n%s", h.Of(Equal[0]), Equal[0], h.Of(Equal[1]), Equal[1], err,
			s.Real[0].Log("keepalived")+s.Real[1].Log("keepalived"))
	}
	return nil
}

// EqualDies pulls all cables of the first of two equal servers: the other one answers for both.
func (s *Site) EqualDies(ctx context.Context, h *Holders) *Result {
	r := &Result{Step: "one of two equal servers loses all cables"}
	real1, real2 := s.Real[0], s.Real[1]
	both := func(when, first, second string) {
		for i, want := range []string{first, second} {
			by, err := askOnce(s.Client, netip.Addr{}, netip.AddrPortFrom(Equal[i], 80))
			if err != nil || by != want {
				r.broken("%s: %v: answer by %q: %v", when, Equal[i], by, err)
			}
		}
	}
	both("at first", real1.Label, real2.Label)
	begun := time.Now()
	for _, nic := range nics {
		r.check(real1.Cut(nic))
	}
	r.check(s.awaitEqual(ctx, h, real2.Label, real2.Label))
	if at, _ := h.Came(Equal[0], real2.Label, begun); at.Sub(begun) > s.takeoverLimit() {
		r.late("the address moved after %v, want at most %v", at.Sub(begun), s.takeoverLimit())
	} else {
		r.Moved = at.Sub(begun)
	}
	both("without real1", real2.Label, real2.Label)
	for _, nic := range nics {
		r.check(real1.Mend(nic))
	}
	r.check(s.awaitEqual(ctx, h, real1.Label, real2.Label))
	both("with real1 again", real1.Label, real2.Label)
	return r
}

// EndKeepalived ends keepalived on a server as its service manager does.
func (h *Server) EndKeepalived() { h.end("keepalived", unix.SIGTERM) }
