// SPDX-License-Identifier: MIT

package dhcp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/bpf"

	"nicteam/internal/frame"
)

// ack returns an ACK of 10.9.0.50 for 100 s with these options.
func ack(options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, ClientHWAddr: testMAC.HardwareAddr(),
		YourIPAddr: leaseIP.AsSlice(), ClientIPAddr: zeroIP(), ServerIPAddr: zeroIP(), GatewayIPAddr: zeroIP(),
		Options: dhcpv4.Options{}}
	for _, o := range append([]dhcpv4.Option{dhcpv4.OptMessageType(dhcpv4.MessageTypeAck),
		dhcpv4.OptIPAddressLeaseTime(100 * time.Second), dhcpv4.OptServerIdentifier(serverIP.AsSlice()),
		dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))}, options...) {
		m.UpdateOption(o)
	}
	return m
}

func ip4(s string) net.IP { return net.ParseIP(s).To4() }

func TestLeaseOf(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	base := Lease{Address: netip.MustParsePrefix(prefix), Server: serverIP, Obtained: now, Renew: at(50),
		Rebind: at(87.5), Expires: at(100)}
	route := func(to string, router string) *dhcpv4.Route {
		_, n, err := net.ParseCIDR(to)
		if err != nil {
			panic(err)
		}
		return &dhcpv4.Route{Dest: n, Router: ip4(router)}
	}
	seconds := func(code dhcpv4.OptionCode, n byte) dhcpv4.Option {
		return dhcpv4.OptGeneric(code, []byte{0, 0, 0, n})
	}
	for name, tt := range map[string]struct {
		in   *dhcpv4.DHCPv4
		want func(*Lease) // nil: no lease
	}{
		"plain": {ack(), func(*Lease) {}},
		"router": {ack(dhcpv4.OptRouter(ip4("10.9.0.254"), ip4("10.9.0.253"))), func(l *Lease) {
			l.Routes = []Route{{netip.MustParsePrefix("0.0.0.0/0"), serverIP}}
		}},
		"classless routes replace routers": {ack(dhcpv4.OptRouter(ip4("10.9.0.253")), dhcpv4.OptClasslessStaticRoute(
			route("10.50.0.0/16", "10.9.0.254"), route("10.60.0.0/16", "0.0.0.0"))), func(l *Lease) {
			l.Routes = []Route{{netip.MustParsePrefix("10.50.0.0/16"), serverIP},
				{To: netip.MustParsePrefix("10.60.0.0/16")}}
		}},
		"times": {ack(seconds(dhcpv4.OptionRenewTimeValue, 10), seconds(dhcpv4.OptionRebindingTimeValue, 20)),
			func(l *Lease) { l.Renew, l.Rebind = at(10), at(20) }},
		"times that contradict": {ack(seconds(dhcpv4.OptionRenewTimeValue, 30),
			seconds(dhcpv4.OptionRebindingTimeValue, 20)), func(*Lease) {}},
		"rebinding after the end": {ack(seconds(dhcpv4.OptionRebindingTimeValue, 200)), func(*Lease) {}},
		"forever": {ack(dhcpv4.OptIPAddressLeaseTime(forever)), func(l *Lease) {
			l.Renew, l.Rebind, l.Expires = time.Time{}, time.Time{}, time.Time{}
		}},
		"names": {ack(dhcpv4.OptDNS(ip4("10.9.0.1"), ip4("10.9.0.1"), ip4("0.0.0.0")),
			dhcpv4.OptDomainName("lab.example evil;rm -b")), func(l *Lease) {
			l.DNS, l.Search = []netip.Addr{netip.MustParseAddr("10.9.0.1")}, []string{"lab.example"}
		}},
		"mask with holes": {ack(dhcpv4.OptSubnetMask(net.IPv4Mask(255, 0, 255, 0))), func(l *Lease) {
			l.Address = netip.MustParsePrefix("10.9.0.50/8")
		}},
		"no time": {ack(dhcpv4.OptIPAddressLeaseTime(0)), nil},
		"group":   {func() *dhcpv4.DHCPv4 { m := ack(); m.YourIPAddr = ip4("224.0.0.1"); return m }(), nil},
		"nothing": {func() *dhcpv4.DHCPv4 { m := ack(); m.YourIPAddr = zeroIP(); return m }(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := leaseOf(tt.in, now)
			if tt.want == nil {
				if err == nil {
					t.Errorf("%+v", got)
				}
				return
			}
			want := base
			tt.want(&want)
			d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}))
			if err != nil || d != "" {
				t.Error(err, d)
			}
		})
	}
}

// TestAnswersOnly runs the filter of the socket beside the parser: what the parser takes, the filter accepts.
func TestAnswersOnly(t *testing.T) {
	vm, err := bpf.NewVM(answers)
	if err != nil {
		t.Fatal(err)
	}
	good := udpPacket([]byte("message"), serverIP, leaseIP)
	good[ipLen+2], good[ipLen+3] = 0, clientPort
	long := append(append([]byte{0x46}, good[1:ipLen]...), make([]byte, 4)...)
	long = append(long, good[ipLen:]...)
	long[3] += 4
	change := func(at int, v byte) []byte { b := append([]byte(nil), good...); b[at] = v; return b }
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"answer": {good, "message"}, "IP options": {long, "message"}, "TCP": {change(9, 6), ""},
		"fragment": {change(7, 1), ""}, "first fragment": {change(6, 0x20), ""},
		"other port":   {change(ipLen+3, 67), ""},
		"UDP too long": {change(ipLen+5, 100), ""}, "cut": {good[:len(good)-1], ""}, "IPv6": {change(0, 0x65), ""},
		"padded": {append(append([]byte(nil), good...), 0, 0), "message"}, "empty": {nil, ""},
	} {
		m, ok := bootpReply(tt.in)
		if string(m) != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v", name, m, ok)
		}
		if n, err := vm.Run(tt.in); ok && (n == 0 || err != nil) {
			t.Errorf("%s: the filter drops it", name)
		} else if name == "TCP" && n > 0 || name == "other port" && n > 0 || name == "fragment" && n > 0 {
			t.Errorf("%s: the filter accepts it", name)
		}
	}
}

func TestARPConflict(t *testing.T) {
	other, own := frame.MAC(0x020000000099), func(m frame.MAC) bool { return m == testMAC }
	if arpConflict(arpProbe(testMAC, leaseIP), own, leaseIP) {
		t.Error("one's own probe")
	}
	if !arpConflict(arpProbe(other, leaseIP), own, leaseIP) || arpConflict(arpProbe(other, serverIP), own, leaseIP) {
		t.Error("another host's probe")
	}
	reply := arpProbe(other, serverIP)
	ip := leaseIP.As4()
	copy(reply[14:], ip[:])
	if !arpConflict(reply, own, leaseIP) || arpConflict(reply[:27], own, leaseIP) {
		t.Error("an answer")
	}
}

// FuzzAnswer feeds the client with what a server, or anybody on the LAN, may send.
func FuzzAnswer(f *testing.F) {
	f.Add(ack(dhcpv4.OptRouter(ip4("10.9.0.254"))).ToBytes())
	f.Add([]byte{2, 1, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = bootpReply(b)
		_ = arpConflict(b, func(frame.MAC) bool { return false }, leaseIP)
		in, ok := Event{Message: b}.input()
		if !ok {
			return
		}
		now := time.Unix(1000, 0)
		for _, c := range []Config{{MAC: testMAC}, {MAC: testMAC, Want: leaseIP, Remembered: true},
			{MAC: testMAC, Lease: Lease{Address: netip.MustParsePrefix(prefix), Obtained: now, Renew: now, Rebind: now,
				Expires: now.Add(time.Minute)}}} {
			m := NewMachine(now, c)
			m.Handle(now, Input{})
			in.Message.TransactionID, in.Message.ClientHWAddr = m.xid, testMAC.HardwareAddr()
			for range 4 {
				out := m.Handle(now, in)
				if l := out.Lease; l != nil {
					for _, r := range l.Routes {
						if !r.To.IsValid() || r.To != r.To.Masked() {
							t.Errorf("route %v", r)
						}
					}
					if !l.Address.IsValid() || l.Expires.Before(l.Rebind) || l.Rebind.Before(l.Renew) {
						t.Errorf("%+v", l)
					}
				}
				now = now.Add(probeGap)
				m.Handle(now, Input{})
			}
		}
	})
}
