// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"nicteam/internal/lab"
)

// The addresses that move, and the client's.
var (
	ServiceAddress = netip.MustParseAddr("10.0.0.2")
	GatewayAddress = netip.MustParseAddr("192.168.0.1")
	ClientAddress  = netip.MustParseAddr("10.0.0.100")
)

const teamName = "team0"

// nics are the NICs of each server: eth1 at switch a, eth2 at switch b.
var nics = []string{"eth1", "eth2"}

// Options of a site; Program and Mode are needed.
type Options struct {
	Program  string // the nicteam binary
	Mode     string
	Datapath string // auto
	// Advert is the interval of VRRP's adverts in seconds; empty: as in the files, 1.
	Advert string
	// PreemptDelay is how long vs1 waits until it takes the addresses back, in seconds; empty: as in the files, 5.
	PreemptDelay string
	// VirtualMAC has the addresses at VRRP's own MAC addresses (use_vmac), as docs/ha.md says.
	VirtualMAC bool
	// IPVS makes keepalived and the kernel's IPVS share connections out among the servers. Otherwise nftables does.
	IPVS bool
}

// Site is everything. Methods are called by one goroutine.
type Site struct {
	o      Options
	dir    string // files of this site
	undo   []func() error
	uplink *lab.Cable // of switch a; nil in 802.3ad

	Client     *lab.Host
	VS1, VSBak *Server
	Real       [2]*Server
	Holders    *Holders
}

// NewSite makes the hosts, their teams and everything that runs on them. It returns when vs1 has the addresses.
func NewSite(ctx context.Context, o Options) (*Site, error) {
	s := &Site{o: o}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make site: %w", err), s.Close())
	}
	return s, nil
}

func (s *Site) build(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("/run/lab", "ha-"); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return os.RemoveAll(s.dir) })
	if s.Client, err = lab.NewHost("client"); err != nil {
		return err
	}
	s.undo = append(s.undo, s.Client.Close)
	for _, p := range []struct {
		name string
		at   **Server
		own  []string
	}{
		{"vs1", &s.VS1, []string{"10.0.0.3/24", "192.168.0.3/24"}},
		{"vsbak", &s.VSBak, []string{"10.0.0.4/24", "192.168.0.4/24"}},
		{"real1", &s.Real[0], []string{"192.168.0.11/24"}},
		{"real2", &s.Real[1], []string{"192.168.0.12/24"}},
	} {
		if *p.at, err = newServer(s.dir, p.name, p.own); err != nil {
			return err
		}
		s.undo = append(s.undo, (*p.at).close)
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.Client.SetAddr("eth0", ClientAddress.String()+"/24"); err != nil {
		return err
	}
	// A port comes again when conntrack has forgotten its last connection: docs/ha.md, Limits.
	if err := s.Client.Sysctl("ipv4/ip_local_port_range", "10000 60999"); err != nil {
		return err
	}
	for _, h := range s.Servers() {
		if err := h.SetAddr("eth1", h.own...); err != nil {
			return err
		}
	}
	for _, r := range s.Real {
		if err := r.setGateway(GatewayAddress); err != nil {
			return err
		}
		if err := r.StartServices(); err != nil {
			return err
		}
	}
	if err := s.createTeams(ctx); err != nil {
		return err
	}
	if s.Holders, err = watchAddresses([]netip.Addr{ServiceAddress, GatewayAddress}, s.VS1, s.VSBak); err != nil {
		return err
	}
	s.undo = append(s.undo, s.Holders.close)
	if err := s.startDirector(s.VS1); err != nil {
		return err
	}
	if err := s.AwaitMaster(ctx, s.VS1); err != nil {
		return err
	}
	return s.startDirector(s.VSBak)
}

// Servers are all hosts with a team.
func (s *Site) Servers() []*Server { return append(s.Directors(), s.Real[:]...) }

// Directors are vs1 and vsbak.
func (s *Site) Directors() []*Server { return []*Server{s.VS1, s.VSBak} }

// connect makes the switches and cables.
func (s *Site) connect(ctx context.Context) error {
	if s.o.Mode == "802.3ad" {
		return s.connectLACP(ctx)
	}
	var at [3]*lab.Switch
	for i, name := range []string{"a", "b", "core"} {
		sw, err := lab.NewSwitch(name, lab.SwitchOptions{})
		if err != nil {
			return err
		}
		s.undo = append(s.undo, sw.Close)
		at[i] = sw
	}
	a, b, core := at[0], at[1], at[2]
	var err error
	if s.uplink, err = s.cable(core, "a", a, "core"); err != nil {
		return err
	}
	if _, err := s.cable(core, "b", b, "core"); err != nil {
		return err
	}
	if _, err := s.cable(s.Client, "eth0", core, "client"); err != nil {
		return err
	}
	for _, h := range s.Servers() {
		for i, nic := range nics {
			if h.cables[nic], err = s.cable(h.Host, nic, at[i], h.Label); err != nil {
				return err
			}
		}
	}
	return nil
}

// connectLACP makes one switch that has a group of two ports for each server.
func (s *Site) connectLACP(ctx context.Context) error {
	host, err := lab.NewHost("switch")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, host.Close)
	if _, err := s.cable(s.Client, "eth0", host, "client"); err != nil {
		return err
	}
	var bonds []lab.OVSBond
	for _, h := range s.Servers() {
		bond := lab.OVSBond{Name: "bond-" + h.Label, Fast: true}
		for _, nic := range nics {
			port := h.Label + "-" + nic[3:]
			if h.cables[nic], err = s.cable(h.Host, nic, host, port); err != nil {
				return err
			}
			bond.Ports = append(bond.Ports, port)
		}
		bonds = append(bonds, bond)
	}
	ovs, err := lab.NewOVS(ctx, host, lab.OVSOptions{TSO: true})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, ovs.Close)
	return ovs.Bridge(ctx, "br0", bonds, "client")
}

func (s *Site) cable(a lab.Node, nameA string, b lab.Node, nameB string) (*lab.Cable, error) {
	c, err := lab.NewCable(a, nameA, b, nameB, lab.CableOptions{})
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, c.Close)
	return c, nil
}

// createTeams makes a team of both NICs on each server, at the same time. The kernels with IPVS have emulated
// processors, where a team that starts beside others does not answer in time.
func (s *Site) createTeams(ctx context.Context) error {
	if s.o.IPVS {
		for _, h := range s.Servers() {
			if err := s.createTeam(ctx, h); err != nil {
				return err
			}
		}
		return nil
	}
	var all sync.WaitGroup
	errs := make([]error, len(s.Servers()))
	for i, h := range s.Servers() {
		all.Go(func() { errs[i] = s.createTeam(ctx, h) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// createTeam makes one. Nobody pulls a cable of a real site each ten seconds: that it would be damped for is not what
// is to be shown.
func (s *Site) createTeam(ctx context.Context, h *Server) error {
	args := append([]string{"create", teamName}, nics...)
	args = append(args, "--mode", s.o.Mode, "--damping", "off")
	if s.o.Mode == "802.3ad" {
		args = append(args, "--lacp-rate", "fast")
	}
	if s.o.Datapath != "" {
		args = append(args, "--datapath", s.o.Datapath)
	}
	out, err := h.CommandContext(ctx, s.o.Program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: nicteam create: %w: %s", h.Label, err, out)
	}
	return nil
}

// startDirector makes a director of a host with a team.
func (s *Site) startDirector(d *Server) error {
	if err := d.install(map[string]string{
		"keepalived/keepalived.conf": d.Label + "/keepalived.conf", "keepalived/ipvs.conf": "ipvs.conf",
		"conntrackd/conntrackd.conf": d.Label + "/conntrackd.conf", "conntrackd/primary-backup.sh": "primary-backup.sh",
		"haproxy/haproxy.cfg": "haproxy.cfg", "sysctl.d/60-director.conf": "sysctl.conf",
	}, s.o.keepalived); err != nil {
		return err
	}
	if err := d.run("sysctl", "-q", "-p", "/etc/sysctl.d/60-director.conf"); err != nil {
		return err
	}
	if s.o.IPVS {
		return d.StartKeepalivedIPVS()
	}
	if err := d.countStrays(); err != nil {
		return err
	}
	for _, file := range []string{"firewall.nft", "rr.nft"} {
		if err := d.Rules(file); err != nil {
			return err
		}
	}
	if err := d.StartConntrackd(); err != nil {
		return err
	}
	return d.StartKeepalived()
}

// AwaitMaster waits until a director, and nobody else, has both addresses.
func (s *Site) AwaitMaster(ctx context.Context, d *Server) error {
	err := await(ctx, 15*time.Second, func() bool {
		for _, a := range []netip.Addr{ServiceAddress, GatewayAddress} {
			if !slices.Equal(s.Holders.Of(a), []string{d.Label}) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%s does not get the addresses: %w: %v have them\n%s", d.Label, err,
			s.Holders.Of(ServiceAddress), d.Log("keepalived"))
	}
	return nil
}

// Close ends everything. Closing twice is fine.
func (s *Site) Close() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}

// await waits until holds is true. It looks the less often the longer it waits.
func await(ctx context.Context, limit time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for begun := time.Now(); !holds(); {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", limit, ctx.Err())
		case <-time.After(max(2*time.Millisecond, min(time.Since(begun)/10, 30*time.Millisecond))):
		}
	}
	return nil
}

// setGateway adds a default route by eth1.
func (h *Server) setGateway(via netip.Addr) error {
	l, err := h.Handle().LinkByName("eth1")
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.IP(via.AsSlice())}
	if err := h.Handle().RouteAdd(r); err != nil {
		return fmt.Errorf("%s: default route by %v: %w", h.Label, via, err)
	}
	return nil
}

// stateDir returns a new directory of a host.
func (h *Server) stateDir(name string) (string, error) {
	dir := filepath.Join(h.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}
