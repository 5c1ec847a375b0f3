// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// Programs look in each way that a kernel may allow, and in none where it allows none.
func TestWaysToLook(t *testing.T) {
	newBed(t).seeing()
	wrong := errors.New("not known")
	for _, c := range []struct {
		name string
		ways func(l deviceLayout) ([]deviceLayout, error)
		sees bool
		why  string
	}{
		{"the best", func(l deviceLayout) ([]deviceLayout, error) { return []deviceLayout{l}, nil }, true, ""},
		{"without bpf_rdonly_cast", func(l deviceLayout) ([]deviceLayout, error) {
			l.device, l.cast = 0, 0
			return []deviceLayout{l, {}}, nil
		}, true, ""},
		{"types that are not known", func(deviceLayout) ([]deviceLayout, error) {
			return []deviceLayout{{}}, wrong
		}, false, wrong.Error()},
		{"refused by the verifier", func(l deviceLayout) ([]deviceLayout, error) {
			l.device = 1 // no struct
			return []deviceLayout{l, {}}, nil
		}, false, "load program"},
		{"refused, but for the slower way", func(l deviceLayout) ([]deviceLayout, error) {
			slow := l
			l.device, slow.device = 1, 0
			return []deviceLayout{l, slow, {}}, nil
		}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ways, err := waysToLook()
			labtest.Must(t, err)
			b := newBedLooking(t, func() ([]deviceLayout, error) { return c.ways(ways[0]) })
			if b.blind == nil != c.sees || !c.sees && !strings.Contains(b.blind.Error(), c.why) {
				t.Fatalf("blind: %v", b.blind)
			}
			s := newSender(b)
			s.dead = 1
			b.devices[0] = nowhere
			if !c.sees {
				s.dead = 0 // as far as they know
			}
			pl := &spread.Plan{Rule: spread.RuleSingle, Adapter: adapterMAC, Distributing: 1, Next: 1}
			labtest.Must(t, s.follow(pl, &cast{members: 3}))
			_, err = s.compare(flowsOf(1)[0], 0)
			labtest.Must(t, err)
			if b.findDevice(loopback).address != 0 != c.sees {
				t.Errorf("lo is found: %v", !c.sees)
			}
		})
	}
}

// A kernel whose types are not those that are known is not read.
func TestUnknownTypes(t *testing.T) {
	pointer := &btf.Pointer{Target: &btf.Void{}}
	long, short := &btf.Int{Name: "long", Size: 8}, &btf.Int{Name: "int", Size: 4}
	inside := func(at btf.Bits, members ...btf.Member) btf.Member {
		return btf.Member{Type: &btf.Union{Size: 16, Members: members}, Offset: at}
	}
	states := func(values ...uint64) *btf.Enum {
		e := &btf.Enum{Name: "netdev_state_t", Size: 4}
		for i, name := range []string{"__LINK_STATE_START", "__LINK_STATE_PRESENT", "__LINK_STATE_NOCARRIER"} {
			e.Values = append(e.Values, btf.EnumValue{Name: name, Value: values[i]})
		}
		return e
	}
	skb := &btf.Struct{Name: "sk_buff", Size: 64, Members: []btf.Member{{Name: "next", Type: pointer},
		inside(128, btf.Member{Name: "dev", Type: pointer}, btf.Member{Name: "scratch", Type: long})}}
	device := &btf.Struct{Name: "net_device", Size: 64, Members: []btf.Member{{Name: "name", Type: long},
		inside(64, inside(64, btf.Member{Name: "state", Type: long}))}}
	cast := &btf.Func{Name: "bpf_rdonly_cast", Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: pointer}}
	with := func(m ...btf.Member) *btf.Struct { return &btf.Struct{Name: "net_device", Size: 64, Members: m} }
	for name, c := range map[string]struct {
		types []btf.Type
		want  deviceLayout
		why   string
	}{
		"known":        {[]btf.Type{skb, device, states(0, 1, 2), cast}, deviceLayout{skbDev: 16, state: 16}, ""},
		"without cast": {[]btf.Type{skb, device, states(0, 1, 2)}, deviceLayout{skbDev: 16, state: 16}, ""},
		"no sk_buff":   {[]btf.Type{device, states(0, 1, 2)}, deviceLayout{}, "sk_buff"},
		"no states":    {[]btf.Type{skb, device}, deviceLayout{}, "netdev_state_t"},
		"other states": {[]btf.Type{skb, device, states(0, 2, 1)}, deviceLayout{}, "__LINK_STATE_PRESENT"},
		"no state": {[]btf.Type{skb, with(btf.Member{Name: "name", Type: long}), states(0, 1, 2)}, deviceLayout{},
			"has no state"},
		"a state of 4 octets": {[]btf.Type{skb, with(btf.Member{Name: "state", Type: short, Offset: 64}),
			states(0, 1, 2)}, deviceLayout{}, "state is not"},
		"a state that is first": {[]btf.Type{skb, with(btf.Member{Name: "state", Type: long}), states(0, 1, 2)},
			deviceLayout{}, "state is not"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := btf.NewBuilder(c.types, nil)
			labtest.Must(t, err)
			raw, err := b.Marshal(nil, nil)
			labtest.Must(t, err)
			types, err := parseTypes(raw)
			labtest.Must(t, err)
			ways, err := waysIn(types)
			if c.why != "" {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("%v, error %v, want %q", ways, err, c.why)
				}
				return
			}
			labtest.Must(t, err)
			if name == "known" {
				if ways[0].device == 0 || ways[0].cast == 0 {
					t.Errorf("%+v: no cast", ways[0])
				}
				c.want.cast, ways = ways[0].cast, ways[1:]
			}
			if len(ways) != 2 || ways[0] != c.want || ways[1] != (deviceLayout{cast: c.want.cast}) {
				t.Errorf("%+v, want %+v", ways, c.want)
			}
		})
	}
}

// What the kernel's types say is what another reader of them finds.
func TestTypesOfThisKernel(t *testing.T) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip(err)
	}
	labtest.Must(t, readTypes(func(types *kernelTypes) error {
		l, err := findLayout(types)
		labtest.Must(t, err)
		var device *btf.Struct
		labtest.Must(t, spec.TypeByName("net_device", &device))
		id, err := spec.TypeID(device)
		labtest.Must(t, err)
		if l.cast != 0 && l.device != uint32(id) {
			t.Errorf("net_device is %d, want %d", l.device, id)
		}
		if id, at, err := types.find(kindStruct, "sk_buff"); err != nil || types.at[id] != at {
			t.Errorf("sk_buff: %d at %d, %v", id, at, err)
		}
		var cast *btf.Func
		if spec.TypeByName("bpf_rdonly_cast", &cast) == nil {
			if id, err := spec.TypeID(cast); err != nil || l.cast != uint32(id) {
				t.Errorf("bpf_rdonly_cast is %d, want %d, %v", l.cast, id, err)
			}
		}
		return nil
	}))
}

func FuzzTypes(f *testing.F) {
	long := &btf.Int{Name: "long", Size: 8}
	b, err := btf.NewBuilder([]btf.Type{
		&btf.Struct{Name: "sk_buff", Size: 64, Members: []btf.Member{{Type: &btf.Union{Size: 16, Members: []btf.Member{
			{Name: "dev", Type: &btf.Pointer{Target: &btf.Void{}}}}}, Offset: 64}}},
		&btf.Struct{Name: "net_device", Size: 64, Members: []btf.Member{{Name: "state", Type: long, Offset: 64}}},
		&btf.Enum{Name: "netdev_state_t", Size: 4, Values: []btf.EnumValue{{Name: "__LINK_STATE_START"},
			{Name: "__LINK_STATE_PRESENT", Value: 1}, {Name: "__LINK_STATE_NOCARRIER", Value: 2}}},
		&btf.Func{Name: "bpf_rdonly_cast", Type: &btf.FuncProto{Return: long,
			Params: []btf.FuncParam{{Name: "x", Type: long}}}},
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		types, err := parseTypes(b)
		if err != nil {
			return
		}
		if l, err := findLayout(types); err == nil && (l.state == 0 || l.skbDev == 0 || l.state%8 != 0) {
			t.Errorf("%+v", l)
		}
	})
}
