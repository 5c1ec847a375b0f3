// SPDX-License-Identifier: MIT

package fastpath

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// place is where a number lies.
type place struct{ Offset, Size uintptr }

// places are where the numbers in a type lie, by name. Of an array it is the first element, and where the second
// begins.
func places(t reflect.Type, at uintptr, name string, to map[string]place) {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Name != "_" {
				places(f.Type, at+f.Offset, name+"."+strings.ToLower(f.Name), to)
			}
		}
	case reflect.Array:
		to[name+"[]"] = place{t.Elem().Size(), uintptr(t.Len())}
		places(t.Elem(), at, name+"[0]", to)
	default:
		to[name] = place{at, t.Size()}
	}
}

func placesOf[T any]() map[string]place {
	to := map[string]place{}
	places(reflect.TypeFor[T](), 0, "", to)
	to["all"] = place{0, reflect.TypeFor[T]().Size()}
	return to
}

func TestTxStateIsThePrograms(t *testing.T) {
	want, got := placesOf[spread.TxState](), placesOf[programTxState]()
	const lock = ".flows.slots[0].lock"
	at := got[lock]
	delete(got, lock)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Go +programs):\n%s", diff)
	}
	slot := reflect.TypeFor[spread.FlowSlot]()
	free, slots := slot.Field(slot.NumField()-1), want[".flows.slots[0].until"].Offset
	if free.Name != "_" || free.Offset+slots != at.Offset || free.Type.Size() != at.Size {
		t.Errorf("the lock is %+v, Go leaves %d octets free at %d", at, free.Type.Size(), free.Offset+slots)
	}
}

// lockOf is the word by which programs lock a slot.
func lockOf(b *bed, slot int) *uint32 {
	return &(*programTxState)(unsafe.Pointer(b.txState)).Flows.Slots[slot].Lock
}

// In memory that is shared no word may be torn, and Go wants 64-bit words where they are.
func TestSharedWordsAreAligned(t *testing.T) {
	for name, all := range map[string]map[string]place{
		"tx state": placesOf[programTxState](), "plan": placesOf[programPlan](), "control": placesOf[programControl](),
		"row":     placesOf[programCpuState](),
		"address": placesOf[programAddress](), "station": placesOf[programStation](),
	} {
		for field, p := range all {
			if !strings.HasSuffix(field, "[]") && field != "all" && p.Offset%p.Size != 0 {
				t.Errorf("%s%s: %+v", name, field, p)
			}
		}
		if all["all"].Size%8 != 0 {
			t.Errorf("%s has %d octets: entries of arrays lie at multiples of 8", name, all["all"].Size)
		}
	}
}

var (
	defined    = regexp.MustCompile(`(?m)^#define ([A-Z0-9_]+) (\(?[0-9a-zA-Z <]+?\)?)(?: /\*.*)?$`)
	enumerated = regexp.MustCompile(`enum \{([^}]*)\}`)
)

// constants are what the sources of the programs define.
func constants(t *testing.T) map[string]uint64 {
	all := map[string]uint64{}
	for _, pattern := range []string{"bpf/*.h", "bpf/*.c"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range defined.FindAllStringSubmatch(string(text), -1) {
				all[m[1]] = number(m[2])
			}
			for _, m := range enumerated.FindAllStringSubmatch(string(text), -1) {
				next := uint64(0)
				for name := range strings.SplitSeq(m[1], ",") {
					name, value, given := strings.Cut(strings.TrimSpace(name), " = ")
					if name == "" {
						continue
					}
					if given {
						next = number(value)
					}
					all[name] = next
					next++
				}
			}
		}
	}
	return all
}

// number reads a C constant such as 7, 0x2aULL or (1ULL << 60).
func number(s string) uint64 {
	s = strings.Trim(s, "()")
	a, b, shifted := strings.Cut(s, " << ")
	n, _ := strconv.ParseUint(strings.TrimRight(a, "uUL"), 0, 64)
	if shifted {
		by, _ := strconv.Atoi(b)
		n <<= by
	}
	return n
}

func TestConstantsAreThePrograms(t *testing.T) {
	want := map[string]uint64{
		"MAX_MEMBERS": spread.MaxMembers, "NO_MEMBER": spread.NoMember, "SLOT_COUNT": spread.SlotCount,
		"FLOW_COUNT":     spread.FlowCount,
		"RX_CLASS_COUNT": spread.RxClassCount, "PROTOCOLS": uint64(frame.Protocols), "DROPS": uint64(team.Drops),
		"ETHER_LEN": frame.EtherLen, "TAG_LEN": frame.TagLen,

		"TYPE_IPV4": frame.TypeIPv4, "TYPE_ARP": frame.TypeARP, "TYPE_VLAN": frame.TypeVLAN,
		"TYPE_IPV6": frame.TypeIPv6, "TYPE_QINQ": frame.TypeQinQ, "TYPE_SLOW": frame.TypeSlow,
		"TYPE_PROBE": frame.TypeProbe,
		"PROTO_ICMP": frame.ProtoICMP, "PROTO_IGMP": frame.ProtoIGMP, "PROTO_TCP": frame.ProtoTCP,
		"PROTO_UDP": frame.ProtoUDP, "PROTO_ICMPV6": frame.ProtoICMPv6,

		"TCP": uint64(frame.TCP), "UDP": uint64(frame.UDP), "ICMP": uint64(frame.ICMP), "ARP": uint64(frame.ARP),
		"ND": uint64(frame.ND), "LACP": uint64(frame.LACP), "OTHER": uint64(frame.Other),

		"LAYER34": uint64(spread.Layer34), "LAYER2": uint64(spread.Layer2), "LAYER23": uint64(spread.Layer23),
		"VLAN_SRCMAC": uint64(spread.VLANSrcMAC),

		"RULE_NONE": uint64(spread.RuleNone), "RULE_SINGLE": uint64(spread.RuleSingle),
		"RULE_SLOTS":       uint64(spread.RuleSlots),
		"RULE_ROUND_ROBIN": uint64(spread.RuleRoundRobin), "RULE_BROADCAST": uint64(spread.RuleBroadcast),
		"RULE_SHORTEST": uint64(spread.RuleShortest),

		"WHY_SHORTEST": uint64(spread.FlowShortest), "WHY_RANK": uint64(spread.FlowRank),
		"WHY_FORCED": uint64(spread.FlowForced), "WHY_ONLY": uint64(spread.FlowOnly),

		"GATE_SLOW": uint64(relay.GateSlow), "GATE_HOLD": uint64(relay.GateHold), "GATE_FAST": uint64(relay.GateFast),
		"GATE_SHUT": uint64(relay.GateShut), "GATE_RING": uint64(relay.GateRing), "GATE_ALONE": uint64(relay.GateAlone),
		"GATE_UNTIL": uint64(relay.GateUntil), "GATE_UNIT": relay.GateUnit, "GATE_LONGEST": relay.GateLongest,
		"RING_HEADER": ringHeader,

		"DROP_NO_MEMBER": uint64(team.DropNoMember), "DROP_BACKLOG": uint64(team.DropBacklog),
		"DROP_REFUSED":   uint64(team.DropRefused),
		"DROP_MALFORMED": uint64(team.DropMalformed), "DROP_NOT_OURS": uint64(team.DropNotOurs),
		"DROP_STANDBY":   uint64(team.DropStandby),
		"DROP_REFLECTED": uint64(team.DropReflected), "DROP_ADAPTER": uint64(team.DropAdapter),
		"DROP_SOCKET": uint64(team.DropSocket),

		"MARK_BITS": spread.MarkBits, "KNOWN_FACTOR": knownFactor, "KNOWN_WORDS": uint64(len(programPlan{}.Known)),
		"NO_MAC":     noMAC,
		"SUCCESSORS": spread.MaxSuccessors, "STATE_START": stateStart, "STATE_PRESENT": statePresent,
		"STATE_NOCARRIER": stateNoCarrier,
		"OWN":             kindOwn, "BEHIND": kindBehind,

		"RECENT_TIME": uint64(relay.RecentTime), "MOVED_AFTER": uint64(relay.MovedAfter),
		"REPORT_INTERVAL": uint64(reportInterval),
		"SERVICE_TAG":     frame.ServiceTag, "VLAN_BITS": frame.VLANBits,
	}
	all := constants(t)
	got := maps.Clone(all)
	maps.DeleteFunc(got, func(name string, _ uint64) bool { _, known := want[name]; return !known })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Go +programs):\n%s", diff)
	}
	// A new enumerator must be compared too.
	for name := range all {
		for _, prefix := range []string{"RULE_", "WHY_", "GATE_", "DROP_"} {
			if _, known := want[name]; strings.HasPrefix(name, prefix) && !known {
				t.Errorf("%s is not compared", name)
			}
		}
	}
}

func TestPlanOf(t *testing.T) {
	pl := &spread.Plan{Rule: spread.RuleRoundRobin, Distributing: 0b1011, Suspect: 0b110, Collecting: 0b1010,
		Multicast:        3,
		Active:           64,
		Hash:             spread.Hash{Policy: spread.Layer23, Salt: 9},
		PacketsPerMember: 4, Shortest: &spread.Shortest{Gain: 5, Skew: 6}, PerMember: true, Adapter: adapterMAC,
		Pins: []uint8{3, 1}}
	pl.Weights = [spread.MaxMembers]uint32{spread.MaxShare, 0, 7, 100}
	pl.MACs[3] = memberMAC(3)
	got := newProgramPlan(pl, &[spread.MaxMembers]*team.Link{3: {Index: 8}}, entries(pl))
	want := programPlan{Adapter: uint64(adapterMAC), Start: pl.Hash.Start(), Distributing: 0b1011, Targets: 0b1001,
		Collecting: 0b1010, Multicast: 3,
		Gain: 5, Skew: 6,
		Total: spread.MaxShare + 100, Weight: pl.Weights, PacketsPerMember: 4, Rule: uint8(spread.RuleRoundRobin),
		Hash:   uint8(spread.Layer23),
		Single: spread.NoMember, N: 2, PerMember: 1, Plain: 1}
	for id := range want.TakesOwn {
		want.TakesOwn[id], want.TakesAdapter[id] = noMAC, noMAC
	}
	want.TakesOwn[3], want.Leaves[3] = uint64(memberMAC(3)), 8
	want.Mac[3], want.Ifindex[3] = uint64(memberMAC(3)), 8
	want.ByteCost[0], want.ByteCost[3] = spread.ShareCost(spread.MaxShare), spread.ShareCost(100)
	want.Ids[1] = 3
	for i := range want.Slots {
		want.Slots[i], want.StandIns[i] = spread.NoMember, spread.NoMember
	}
	for i := range want.Successors {
		want.Successors[i] = spread.NoMember
	}
	want.Slots[0], want.Slots[1] = 3, 1
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(programPlan{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Slots that go from member to member.
	m := &spread.Migration{From: []uint8{3, 0, 1}, ID: 7, Mark: 4, Pause: 8}
	m.Cleared[3] = 2
	pl.Slots, pl.Shortest = &spread.SlotTable{Members: []uint8{3, 1}, Migration: m}, nil
	want.Gain, want.Skew = 0, 8
	want.From[0], want.From[2], want.Migrating, want.Migration, want.Mark = 3, 1, 1, 7, 4
	want.Cleared[3] = 2
	got = newProgramPlan(pl, &[spread.MaxMembers]*team.Link{3: {Index: 8}}, entries(pl))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(programPlan{})); diff != "" {
		t.Errorf("slots that migrate (-want +got):\n%s", diff)
	}
	// Who stands in.
	pl.Slots = &spread.SlotTable{Members: []uint8{3, 1}, StandIns: []uint8{1, 3}}
	pl.Rule, pl.Next, pl.Later, pl.Least = spread.RuleSingle, 2, []uint8{0, 1}, 2
	got = newProgramPlan(pl, &[spread.MaxMembers]*team.Link{3: {Index: 8}}, entries(pl))
	if got.StandIns[0] != 1 || got.StandIns[1] != 3 || got.StandIns[2] != spread.NoMember ||
		got.Successors != [4]uint8{2, 0, 1, spread.NoMember} || got.Least != 2 {
		t.Errorf("stand-ins %v, successors %v, least %d", got.StandIns[:3], got.Successors, got.Least)
	}
	// Whose frames need not be asked much.
	for _, tt := range []struct {
		rule   spread.Rule
		policy spread.HashPolicy
		moves  *spread.Migration
		want   uint8
	}{
		{spread.RuleSlots, spread.Layer34, nil, 1},
		{spread.RuleSlots, spread.Layer34, m, 0},
		{spread.RuleSlots, spread.Layer23, nil, 0},
		{spread.RuleShortest, spread.Layer34, nil, 1},
		{spread.RuleShortest, spread.VLANSrcMAC, nil, 0},
		{spread.RuleSingle, spread.Layer2, nil, 1},
		{spread.RuleRoundRobin, spread.Layer23, nil, 1},
		{spread.RuleBroadcast, spread.Layer34, nil, 0},
	} {
		pl := &spread.Plan{Rule: tt.rule, Hash: spread.Hash{Policy: tt.policy}, Active: -1, Next: -1,
			Slots: &spread.SlotTable{Migration: tt.moves}}
		if got := newProgramPlan(pl, &[spread.MaxMembers]*team.Link{}, entries(pl)).Plain; got != tt.want {
			t.Errorf("%v by %v, migrating %v: plain %d", tt.rule, tt.policy, tt.moves != nil, got)
		}
	}
	pl.Slots = nil
	// Flows go to no suspect member.
	pl.Rule, pl.Weights[1] = spread.RuleShortest, 1
	pl.Shortest = &spread.Shortest{}
	pl.Shortest.Closed[1], pl.Shortest.Closed[2], pl.Shortest.Closed[3] = 5, 6, 7
	if got = newProgramPlan(pl, &[spread.MaxMembers]*team.Link{}, entries(pl)); got.N != 2 || got.Ids[1] != 3 {
		t.Errorf("flows go to %d members of %v", got.N, got.Ids[:4])
	}
	if got.Returning != 0b1000 || got.Closed != pl.Shortest.Closed {
		t.Errorf("%b return: %v", got.Returning, got.Closed)
	}
}
