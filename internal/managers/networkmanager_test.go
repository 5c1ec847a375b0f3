// SPDX-License-Identifier: MIT

package managers

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// fakeNM is NetworkManager with a device for each link.
type fakeNM struct {
	devices map[string]*fakeDevice // by interface
	settled nmSettings             // the last profile that was added
	refuse  string                 // a method that fails
}

type fakeDevice struct {
	managed  bool
	state    uint32
	uuid     string // of its profile, "" for none
	external bool
	kind     uint32
}

func (f *fakeNM) call(path dbus.ObjectPath, member string, in []any) ([]any, *dbus.Error) {
	if member == f.refuse {
		return nil, &dbus.Error{Name: nmName + ".Failed"}
	}
	part := strings.Split(string(path), "/") // /device/eth1, /active/eth1
	d := f.devices[part[len(part)-1]]
	switch member {
	case "GetDeviceByIpIface":
		if f.devices[in[0].(string)] == nil {
			return nil, &dbus.Error{Name: nmName + ".UnknownDevice"}
		}
		return []any{dbus.ObjectPath("/device/" + in[0].(string))}, nil
	case "GetAll":
		return []any{f.properties(in[0].(string), part[len(part)-1], d)}, nil
	case "GetAppliedConnection":
		return []any{nmSettings{
			"connection": {"id": dbus.MakeVariant("wired"), "type": dbus.MakeVariant("802-3-ethernet"),
				"zone": dbus.MakeVariant("home")},
			"802-3-ethernet": {"mtu": dbus.MakeVariant(uint32(9000))},
			"ipv4": {"method": dbus.MakeVariant("auto"), "addresses": dbus.MakeVariant([][]uint32{}),
				"address-data": dbus.MakeVariant([]map[string]dbus.Variant{}),
				"route-metric": dbus.MakeVariant(int64(-1))},
			"ipv6": {"method": dbus.MakeVariant("auto"), "route-metric": dbus.MakeVariant(int64(50))},
		}, uint64(1)}, nil
	case "GetConnectionByUuid":
		return []any{dbus.ObjectPath("/settings/" + strings.ReplaceAll(in[0].(string), "-", "_"))}, nil
	case "Set":
		d.managed = in[2].(dbus.Variant).Value().(bool)
		if d.state = 10; d.managed { // unmanaged
			d.state = 30 // disconnected
		}
	case "ActivateConnection":
		d = f.devices[strings.TrimPrefix(string(in[1].(dbus.ObjectPath)), "/device/")]
		d.uuid, d.state = strings.TrimPrefix(string(in[0].(dbus.ObjectPath)), "/settings/"), nmActivated
		return []any{dbus.ObjectPath("/active/1")}, nil
	case "AddAndActivateConnection2":
		d = f.devices[strings.TrimPrefix(string(in[1].(dbus.ObjectPath)), "/device/")]
		f.settled = nil
		if err := dbus.Store(in[:1], &f.settled); err != nil {
			return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.InvalidArgs"}
		}
		d.uuid, d.external, d.state = "new", false, nmActivated
		return []any{dbus.ObjectPath("/s/1"), dbus.ObjectPath("/active/1"), map[string]dbus.Variant{}}, nil
	}
	return nil, nil
}

func (f *fakeNM) properties(iface, name string, d *fakeDevice) map[string]dbus.Variant {
	v := dbus.MakeVariant
	switch iface {
	case nmDevice:
		active := "/"
		if d.uuid != "" {
			active = "/active/" + name
		}
		return map[string]dbus.Variant{"Managed": v(d.managed), "State": v(d.state),
			"DeviceType": v(max(d.kind, nmEthernet)), "ActiveConnection": v(dbus.ObjectPath(active)),
			"Dhcp4Config": v(dbus.ObjectPath("/dhcp4/" + name)),
			"Dhcp6Config": v(dbus.ObjectPath("/dhcp6/" + name))}
	case nmActive:
		flags := uint32(0)
		if d.external {
			flags = nmExternal
		}
		return map[string]dbus.Variant{"Uuid": v(d.uuid), "StateFlags": v(flags)}
	case nmDevice + ".Tun":
		return map[string]dbus.Variant{"Owner": v(int64(0)), "Group": v(int64(-1)), "NoPi": v(true), "VnetHdr": v(true),
			"MultiQueue": v(true)}
	case nmName + ".DHCP4Config":
		return map[string]dbus.Variant{"Options": v(map[string]dbus.Variant{"dhcp_client_identifier": v("01:02")})}
	case nmName + ".DHCP6Config":
		return map[string]dbus.Variant{"Options": v(map[string]dbus.Variant{"iaid": v("00:00:01:02")})}
	}
	return nil
}

func startNM(t *testing.T) (*fakeBus, *fakeNM, func() *Team) {
	t.Helper()
	b, dir := newFakeBus(t), t.TempDir()
	f := &fakeNM{devices: map[string]*fakeDevice{
		"eth1":  {managed: true, state: nmActivated, uuid: "u_1"},
		"eth2":  {managed: true, state: nmActivated, uuid: "u_2"},
		"team0": {managed: true, state: nmActivated, uuid: "seen", external: true},
	}}
	b.provide(nmName, f.call)
	return b, f, func() *Team { return New(Options{Team: "team0", StateDir: dir, Bus: b.socket, Root: dir}) }
}

func TestNMServesTheAdapter(t *testing.T) {
	b, f, team := startNM(t)
	first := team()
	preview := "would tell NetworkManager to leave eth1, eth2 alone and to serve team0 in place of eth1"
	if diff := cmp.Diff([]string{preview}, previewSteps(t, first)); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	steps, warnings := first.TakeOver(t.Context(), links)
	want := []string{"NetworkManager serves team0 in place of eth1", "NetworkManager leaves eth1, eth2 alone"}
	if diff := cmp.Diff(want, steps); diff != "" || warnings != nil {
		t.Errorf("steps (-want +got):\n%s%v", diff, warnings)
	}
	if manager, nic := first.Serving(); manager != "NetworkManager" || nic != "eth1" {
		t.Errorf("serving: %q, %q", manager, nic)
	}
	b.settle()
	got := map[string]string{}
	for section, keys := range f.settled {
		for key, v := range keys {
			got[section+"."+key] = v.String()
		}
	}
	wantProfile := map[string]string{
		"connection.id": `"nicteam team0"`, "connection.type": `"tun"`, "connection.interface-name": `"team0"`,
		"connection.zone": `"home"`, "tun.mode": "@u 2", "tun.owner": `"0"`, "tun.pi": "false", "tun.vnet-hdr": "true",
		"tun.multi-queue": "true", "ipv4.method": `"auto"`, "ipv4.route-metric": "@x 100",
		"ipv4.address-data": "@aa{sv} []", "ipv4.dhcp-client-id": `"01:02"`, "ipv6.method": `"auto"`,
		"ipv6.route-metric": "@x 50", "ipv6.dhcp-iaid": `"258"`}
	if diff := cmp.Diff(wantProfile, got); diff != "" {
		t.Errorf("profile (-want +got):\n%s", diff)
	}
	if f.devices["eth1"].managed || f.devices["eth2"].managed || !f.devices["team0"].managed {
		t.Error("not left alone, or the adapter is")
	}
	b.seen()
	for _, next := range []*Team{first, team()} {
		if steps, warnings := next.TakeOver(t.Context(), links); steps != nil || warnings != nil {
			t.Errorf("again: steps %q, warnings %q", steps, warnings)
		}
	}
	// A member leaves and comes back, then the one in whose place the adapter is served.
	first.TakeOver(t.Context(), Links{Adapter: links.Adapter, Members: links.Members[:1]})
	b.settle()
	if d := f.devices["eth2"]; !d.managed || d.uuid != "u_2" || d.state != nmActivated {
		t.Errorf("eth2 after it left: %+v", d)
	}
	first.TakeOver(t.Context(), links)
	b.settle()
	if f.devices["eth2"].managed {
		t.Error("eth2 is not left alone when it is back")
	}
	first.TakeOver(t.Context(), Links{Adapter: links.Adapter, Members: links.Members[1:]})
	b.settle()
	if f.devices["eth1"].managed {
		t.Error("eth1 is served besides the adapter")
	}
	// The adapter goes before NICs are given back.
	delete(f.devices, "team0")
	b.settle()
	steps, err := team().GiveBack(t.Context())
	if want := []string{"NetworkManager serves eth1, eth2 again"}; err != nil || !slices.Equal(steps, want) {
		t.Errorf("given back: %q, %v", steps, err)
	}
	b.settle()
	for name, d := range f.devices {
		if !d.managed || d.uuid != "u_"+name[3:] {
			t.Errorf("%s after the end: %+v", name, d)
		}
	}
	b.seen()
	if steps, err := team().GiveBack(t.Context()); steps != nil || err != nil || len(b.seen()) != 0 {
		t.Errorf("given back twice: %q, %v", steps, err)
	}
}

func TestWhatNMLeavesAlone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fakeNM, *Links)
		want   []string // changes
		fails  bool
	}{
		{"NICs that it leaves alone", func(f *fakeNM, _ *Links) {
			f.devices["eth1"].managed, f.devices["eth2"].managed = false, false
		}, nil, false},
		{"NICs that it only looks at", func(f *fakeNM, _ *Links) {
			f.devices["eth1"].external, f.devices["eth2"].external = true, true
		}, nil, false},
		{"NICs that it does not know", func(f *fakeNM, _ *Links) {
			delete(f.devices, "eth1")
			delete(f.devices, "eth2")
		}, nil, false},
		{"the adapter's addresses are the team's", func(_ *fakeNM, l *Links) { l.Own = true }, []string{"Set", "Set"},
			false},
		{"somebody's profile for the adapter", func(f *fakeNM, _ *Links) { f.devices["team0"].external = false },
			[]string{"Set", "Set"}, false},
		{"Wi-Fi", func(f *fakeNM, _ *Links) { f.devices["eth1"].kind, f.devices["eth2"].managed = nmWiFi, false }, nil,
			true},
		{"a profile that is refused", func(f *fakeNM, _ *Links) { f.refuse = "AddAndActivateConnection2" },
			[]string{"AddAndActivateConnection2"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f, team := startNM(t)
			l := links
			b.settle()
			tt.change(f, &l)
			b.settle()
			_, warnings := team().TakeOver(t.Context(), l)
			if (warnings != nil) != tt.fails {
				t.Errorf("warnings %q", warnings)
			}
			var got []string
			for _, call := range b.seen() {
				got = append(got, strings.Fields(call)[0])
			}
			got = without(got, "Get")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
