// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names and numbers of NetworkManager's D-Bus interface, which it keeps stable.
const (
	nmName   = "org.freedesktop.NetworkManager"
	nmPath   = "/org/freedesktop/NetworkManager"
	nmDevice = nmName + ".Device"
	nmActive = nmName + ".Connection.Active"

	nmPrepare   = 40  // NM_DEVICE_STATE_PREPARE: the first state of an activation
	nmActivated = 100 // NM_DEVICE_STATE_ACTIVATED

	nmEthernet = 1
	nmWiFi     = 2

	nmExternal = 0x80 // NM_ACTIVATION_STATE_FLAG_EXTERNAL: NetworkManager only looks on
)

// nmSettings are a connection profile: section, key, value.
type nmSettings map[string]map[string]dbus.Variant

// device is what NetworkManager knows of a link.
type device struct {
	path    dbus.ObjectPath
	managed bool
	state   uint32
	kind    uint32
	active  dbus.ObjectPath // its active connection, "/" for none
}

// served reports whether NetworkManager configures the link, or has begun to.
func (d device) served() bool { return d.managed && d.state >= nmPrepare && d.state <= nmActivated }

// device returns the device of a link.
func (b *bus) device(ctx context.Context, name string) (d device, err error) {
	if err := b.call(ctx, nmName, nmPath, nmName+".GetDeviceByIpIface", []any{name}, &d.path); err != nil {
		return d, err
	}
	p, err := b.properties(ctx, nmName, d.path, nmDevice)
	if err != nil {
		return d, err
	}
	p.store("Managed", &d.managed)
	p.store("State", &d.state)
	p.store("DeviceType", &d.kind)
	p.store("ActiveConnection", &d.active)
	return d, nil
}

// deviceTime bounds the wait for the device of a link that was just made.
const deviceTime = 3 * time.Second

func (b *bus) awaitDevice(ctx context.Context, name string) (device, error) {
	for end := time.Now().Add(deviceTime); ; {
		d, err := b.device(ctx, name)
		if err == nil && d.managed || time.Now().After(end) {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// connection returns the UUID of the profile that NetworkManager serves a device by. It is empty if NetworkManager only
// shows what others have configured.
func (b *bus) connection(ctx context.Context, d device) (uuid string) {
	if d.active == "" || d.active == "/" {
		return ""
	}
	p, err := b.properties(ctx, nmName, d.active, nmActive)
	if err != nil {
		return ""
	}
	var flags uint32
	p.store("Uuid", &uuid)
	if p.store("StateFlags", &flags); flags&nmExternal != 0 {
		return ""
	}
	return uuid
}

// applied returns the profile that a device runs by.
func (b *bus) applied(ctx context.Context, d device) (s nmSettings, err error) {
	var version uint64
	return s, b.call(ctx, nmName, d.path, nmDevice+".GetAppliedConnection", []any{uint32(0)}, &s, &version)
}

// clientIDs returns the identifiers of a device's DHCP clients, "" for those that have none.
func (b *bus) clientIDs(ctx context.Context, d device) (four, six string) {
	of := func(config, key string) (id string) {
		p, err := b.properties(ctx, nmName, d.path, nmDevice)
		if err != nil {
			return ""
		}
		var at dbus.ObjectPath
		if p.store(config, &at); at == "" || at == "/" {
			return ""
		}
		options := map[string]dbus.Variant{}
		if p, err = b.properties(ctx, nmName, at, nmName+".DHCP"+config[4:5]+"Config"); err != nil {
			return ""
		}
		p.store("Options", &options)
		properties(options).store(key, &id)
		return id
	}
	return of("Dhcp4Config", "dhcp_client_identifier"), of("Dhcp6Config", "iaid")
}

// setManaged makes NetworkManager serve a device or leave it alone, also when it starts anew before the next boot.
func (b *bus) setManaged(ctx context.Context, d device, managed bool) error {
	return b.call(ctx, nmName, d.path, "org.freedesktop.DBus.Properties.Set",
		[]any{nmDevice, "Managed", dbus.MakeVariant(managed)})
}

// reactivate makes NetworkManager serve a device by a profile that it has.
func (b *bus) reactivate(ctx context.Context, d device, uuid string) error {
	var profile dbus.ObjectPath
	err := b.call(ctx, nmName, nmPath+"/Settings", nmName+".Settings.GetConnectionByUuid", []any{uuid}, &profile)
	if err != nil {
		return err
	}
	return b.call(ctx, nmName, nmPath, nmName+".ActivateConnection", []any{profile, d.path, dbus.ObjectPath("/")})
}

// activate makes NetworkManager serve a device by a profile that goes with it.
func (b *bus) activate(ctx context.Context, d device, s nmSettings) error {
	return b.call(ctx, nmName, nmPath, nmName+".AddAndActivateConnection2", []any{s, d.path, dbus.ObjectPath("/"),
		map[string]dbus.Variant{"persist": dbus.MakeVariant("volatile"), "bind-activation": dbus.MakeVariant("none")}})
}

// profileID is the name of the adapter's profile.
func profileID(team string) string { return "nicteam " + team }

// copiedConnection are the keys of [connection] that are about the host.
var copiedConnection = []string{"zone", "metered", "mdns", "llmnr", "dns-over-tls"}

// profile is a profile for the adapter, made of that of a NIC.
func profile(team, adapter string, nic nmSettings, kind uint32) nmSettings {
	s := nmSettings{"connection": {"id": dbus.MakeVariant(profileID(team)), "type": dbus.MakeVariant("tun"),
		"interface-name": dbus.MakeVariant(adapter)}}
	for _, key := range copiedConnection {
		if v, ok := nic["connection"][key]; ok {
			s["connection"][key] = v
		}
	}
	metric := int64(100) // NetworkManager's for this kind of device
	if kind == nmWiFi {
		metric = 600
	}
	for _, section := range []string{"ipv4", "ipv6", "proxy"} {
		if len(nic[section]) == 0 {
			continue
		}
		s[section] = maps.Clone(nic[section])
		// The older forms of address-data and route-data.
		delete(s[section], "addresses")
		delete(s[section], "routes")
		if m, ok := s[section]["route-metric"]; section != "proxy" && (!ok || m.Value() == int64(-1)) {
			s[section]["route-metric"] = dbus.MakeVariant(metric)
		}
	}
	return s
}

// tunSettings describes the adapter as it is: NetworkManager activates a profile only on a device that is like it.
func (b *bus) tunSettings(ctx context.Context, d device) (map[string]dbus.Variant, error) {
	p, err := b.properties(ctx, nmName, d.path, nmDevice+".Tun")
	if err != nil {
		return nil, err
	}
	var owner, group int64 = -1, -1
	var noPI, vnet, queues bool
	p.store("Owner", &owner)
	p.store("Group", &group)
	p.store("NoPi", &noPI)
	p.store("VnetHdr", &vnet)
	p.store("MultiQueue", &queues)
	s := map[string]dbus.Variant{"mode": dbus.MakeVariant(uint32(2)), "pi": dbus.MakeVariant(!noPI), // 2: TAP
		"vnet-hdr": dbus.MakeVariant(vnet), "multi-queue": dbus.MakeVariant(queues)}
	for key, id := range map[string]int64{"owner": owner, "group": group} {
		if id >= 0 {
			s[key] = dbus.MakeVariant(strconv.FormatInt(id, 10))
		}
	}
	return s, nil
}

// setToken pins the last 64 bits of addresses from router advertisements, which NetworkManager derives from the names
// of profile and link.
func (s nmSettings) setToken(token netip.Addr) {
	v := s["ipv6"]
	if !token.IsValid() || v == nil || v["token"].Value() != nil {
		return
	}
	v["addr-gen-mode"] = dbus.MakeVariant(int32(0)) // EUI64: the only one with a token
	v["token"] = dbus.MakeVariant(token.String())
}

// setClientIDs pins the identifiers by which DHCP servers know the NIC.
func (s nmSettings) setClientIDs(four, six string) {
	if v, ok := s["ipv4"]; ok && four != "" && v["dhcp-client-id"].Value() == nil {
		v["dhcp-client-id"] = dbus.MakeVariant(four)
	}
	var b [4]byte
	if n, _ := fmt.Sscanf(six, "%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3]); n == 4 && s["ipv6"] != nil {
		iaid := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		s["ipv6"]["dhcp-iaid"] = dbus.MakeVariant(strconv.FormatUint(uint64(iaid), 10))
	}
}
