package config

import (
	"maps"
	"reflect"
	"strings"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// document is a configuration as it is written, before its words are understood. Its
// values have the plainest types that a file can give.
type document struct {
	Team               string   `mapstructure:"team" yaml:"team"`
	Members            nicList  `mapstructure:"members" yaml:"members"`
	Match              string   `mapstructure:"match" yaml:"match"`
	Mode               name     `mapstructure:"mode" yaml:"mode"`
	Balance            onOff    `mapstructure:"balance" yaml:"balance"`
	Hash               name     `mapstructure:"hash" yaml:"hash"`
	Primary            string   `mapstructure:"primary" yaml:"primary,omitempty"`
	PrimaryReselect    string   `mapstructure:"primary_reselect" yaml:"primary_reselect"`
	PacketsPerMember   int      `mapstructure:"packets_per_member" yaml:"packets_per_member"`
	ReceiveBalance     unlessOn `mapstructure:"receive_balance" yaml:"receive_balance,omitempty"`
	Gain               string   `mapstructure:"gain" yaml:"gain"`
	Skew               string   `mapstructure:"skew" yaml:"skew"`
	Rebalance          string   `mapstructure:"rebalance" yaml:"rebalance"`
	MinMembers         int      `mapstructure:"min_members" yaml:"min_members"`
	UpDelay            string   `mapstructure:"up_delay" yaml:"up_delay"`
	DownDelay          string   `mapstructure:"down_delay" yaml:"down_delay"`
	LinkWatch          textList `mapstructure:"link_watch" yaml:"link_watch"`
	AnnounceCount      int      `mapstructure:"announce_count" yaml:"announce_count"`
	AnnounceInterval   string   `mapstructure:"announce_interval" yaml:"announce_interval"`
	LACPRate           name     `mapstructure:"lacp_rate" yaml:"lacp_rate"`
	LACPActive         onOff    `mapstructure:"lacp_active" yaml:"lacp_active"`
	LACPFallback       onOff    `mapstructure:"lacp_fallback" yaml:"lacp_fallback"`
	ADSelect           name     `mapstructure:"ad_select" yaml:"ad_select"`
	LACPSystem         string   `mapstructure:"lacp_system" yaml:"lacp_system"`
	LACPSystemPriority int      `mapstructure:"lacp_system_priority" yaml:"lacp_system_priority"`
	LACPKey            int      `mapstructure:"lacp_key" yaml:"lacp_key"`
	Address            textList `mapstructure:"address" yaml:"address"`
	Gateway            string   `mapstructure:"gateway" yaml:"gateway,omitempty"`
	MAC                string   `mapstructure:"mac" yaml:"mac"`
	MTU                int      `mapstructure:"mtu" yaml:"mtu,omitempty"`
	Datapath           string   `mapstructure:"datapath" yaml:"datapath"`
	TSO                autoOn   `mapstructure:"tso" yaml:"tso"`
	USO                autoOn   `mapstructure:"uso" yaml:"uso"`
	GRO                autoOn   `mapstructure:"gro" yaml:"gro"`

	active       string // live only
	receiveGiven bool   // receive_balance was said, not implied by the mode or left as it was
	lacpGiven    string // a setting of 802.3ad that was said, "" none
}

type member struct {
	Name         string  `mapstructure:"name" yaml:"name"`
	Weight       float64 `mapstructure:"weight" yaml:"weight"`
	PortPriority int     `mapstructure:"port_priority" yaml:"port_priority"`
}

// Types of their own, so that the hook below knows what may become what.
type (
	name     string // or a whole number
	onOff    bool   // or a word for it
	unlessOn bool   // the same, not written while on: it is refused in modes that have no such thing
	autoOn   string // or a truth value
	textList []string
	nicList  []member
)

// IsZero has yaml leave it out.
func (u unlessOn) IsZero() bool { return bool(u) }

// lenient is the only conversion that decoding does: where two ways of writing are both right,
// it makes them one. Everything else has to have its type.
func lenient(from, to reflect.Type, data any) (any, error) {
	v := reflect.ValueOf(data)
	switch to {
	case reflect.TypeFor[name]():
		switch {
		case v.CanInt():
			return itoa(v.Int()), nil
		case v.CanUint():
			return itoa(int64(v.Uint())), nil
		case v.CanFloat(): // JSON has only these; the tree has shown that it is whole
			return itoa(int64(v.Float())), nil
		}
	case reflect.TypeFor[onOff](), reflect.TypeFor[unlessOn]():
		if s, ok := data.(string); ok {
			if b, known := toggleWords[strings.ToLower(s)]; known {
				return b, nil
			}
		}
	case reflect.TypeFor[autoOn]():
		if b, ok := data.(bool); ok {
			return map[bool]string{true: "on", false: "off"}[b], nil
		}
	case reflect.TypeFor[string](): // 0, for a duration; the tree has shown that it is nothing else
		if v.CanInt() && v.Int() == 0 || v.CanUint() && v.Uint() == 0 || v.CanFloat() && v.Float() == 0 {
			return "0", nil
		}
	case reflect.TypeFor[textList]():
		if s, ok := data.(string); ok {
			return split(s), nil
		}
	case reflect.TypeFor[member]():
		switch m := data.(type) {
		case string:
			return map[string]any{"name": m, "weight": 1.0, portPriority: modes.DefaultPortPriority}, nil
		case map[string]any:
			whole := map[string]any{"weight": 1.0, portPriority: modes.DefaultPortPriority}
			maps.Copy(whole, m)
			return whole, nil
		}
	}
	return data, nil
}

// split takes text with commas apart.
func split(s string) []string {
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// written is the document that says what c says.
func written(c settings.Config) document {
	d := document{
		Team: c.Team, Match: c.Match.String(), Mode: name(c.Mode.String()), Balance: onOff(c.Balance), Hash: name(c.Hash.String()),
		Primary: c.Primary, PrimaryReselect: c.PrimaryReselect.String(),
		PacketsPerMember: c.PacketsPerMember, ReceiveBalance: unlessOn(c.ReceiveBalance), MinMembers: c.MinMembers,
		Gain: c.Gain.String(), Skew: c.Skew.String(), Rebalance: c.Rebalance.String(),
		UpDelay: c.UpDelay.String(), DownDelay: c.DownDelay.String(), LinkWatch: c.LinkWatch,
		AnnounceCount: c.AnnounceCount, AnnounceInterval: c.AnnounceInterval.String(),
		Address: addressWords(c), MAC: macWord(c), MTU: c.MTU, Datapath: c.Datapath,
		TSO: triName(c.TSO), USO: triName(c.USO), GRO: triName(c.GRO), active: c.Active,
		LACPRate: rateWord(c.LACP.Fast), LACPActive: onOff(c.LACP.Active), LACPFallback: onOff(c.LACP.Fallback),
		ADSelect: name(c.LACP.Select.String()), LACPSystem: systemWord(c.LACP.System),
		LACPSystemPriority: int(c.LACP.SystemPriority), LACPKey: int(c.LACP.Key),
		Members: nicList{},
	}
	if c.Gateway.IsValid() {
		d.Gateway = c.Gateway.String()
	}
	for _, m := range c.Members {
		d.Members = append(d.Members, member{Name: m.Name, Weight: m.Weight, PortPriority: int(m.PortPriority)})
	}
	return d
}

// config understands the words of a document.
func (d *document) config() (settings.Config, *fault) {
	c := settings.Config{
		Team: d.Team, Balance: bool(d.Balance), Primary: d.Primary, PacketsPerMember: d.PacketsPerMember,
		ReceiveBalance: bool(d.ReceiveBalance), MinMembers: d.MinMembers, LinkWatch: d.LinkWatch,
		AnnounceCount: d.AnnounceCount, MTU: d.MTU, Datapath: d.Datapath, Active: d.active,
	}
	for _, m := range d.Members {
		c.Members = append(c.Members, settings.MemberConfig{Name: m.Name, Weight: m.Weight, PortPriority: uint16(m.PortPriority)})
	}
	first := (*fault)(nil)
	note := func(f *fault) {
		if first == nil {
			first = f
		}
	}
	var f *fault
	c.Mode, f = parseMode(string(d.Mode), &c, d.receiveGiven)
	note(f)
	if f == nil && d.receiveGiven {
		note(receiveFault(c))
	}
	if f == nil {
		note(lacpFault(c, d.lacpGiven))
	}
	c.Hash, f = parseHash(string(d.Hash))
	note(f)
	c.PrimaryReselect, f = parseReselect(d.PrimaryReselect)
	note(f)
	c.Match, f = parseMatch(d.Match)
	note(f)
	for _, s := range []struct {
		key, value string
		to         *time.Duration
	}{{"up_delay", d.UpDelay, &c.UpDelay}, {"down_delay", d.DownDelay, &c.DownDelay}, {"announce_interval", d.AnnounceInterval, &c.AnnounceInterval},
		{"gain", d.Gain, &c.Gain}, {"skew", d.Skew, &c.Skew}, {"rebalance", d.Rebalance, &c.Rebalance}} {
		*s.to, f = parseSpan(s.key, s.value)
		note(f)
	}
	for _, s := range []struct {
		key   string
		value autoOn
		to    *settings.Offload
	}{{"tso", d.TSO, &c.TSO}, {"uso", d.USO, &c.USO}, {"gro", d.GRO, &c.GRO}} {
		*s.to, f = parseTri(s.key, string(s.value))
		note(f)
	}
	note(parseAddress(d.Address, &c))
	note(parseGateway(d.Gateway, &c))
	note(parseMAC(d.MAC, &c))
	note(parseLACP(d, &c))
	return c, first
}
