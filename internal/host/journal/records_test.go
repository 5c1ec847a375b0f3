// SPDX-License-Identifier: MIT

package journal

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

func nowhere(string) error { return nil }

// sample is a journal with all kinds of record.
func sample(t testing.TB) (path string, records []Record) {
	t.Helper()
	path = PathOf(t.TempDir(), "team0")
	j, err := Create(path, nil, nowhere)
	labtest.Must(t, err)
	defer j.Close()
	address := rtnl.Object{Head: []byte{2, 24, 0, 0, 3, 0, 0, 0}}
	address.Set(unix.IFA_LOCAL, []byte{10, 9, 0, 1})
	address.Set(unix.IFA_LABEL, []byte("eth1\x00"))
	late := address.Clone()
	late.Set(unix.IFA_LOCAL, []byte{10, 9, 0, 2})
	records = []Record{
		{Kind: KindBegin, Done: true, Begin: &BeginRecord{Team: "team0", Boot: "b", NetNS: 7, Links: []int{1, 3}}},
		{Kind: KindAdapter, Done: true, Adapter: &AdapterRecord{Name: "team0", Index: 4, MAC: 0x020000000001}},
		{Kind: KindMember, Done: true, No: 1,
			Member: &Member{Identity: Identity{Name: "eth1", Index: 3, MAC: 2}, Up: true, MTU: 1500,
				Sysctls: map[string]string{"ipv6/disable_ipv6": "0"}, Features: map[string]bool{"rx-lro": true},
				Addresses: []rtnl.Object{address}}},
		{Kind: KindAdopt, Members: []int{1}},
		{Kind: KindAssign, Assigned: []string{"10.0.0.1/8"}, Gateway: "10.0.0.2"},
		{Kind: KindStrip, No: 1},
		{Kind: KindIsolate, No: 1, Method: tchook.ByClsact, Qdisc: true},
		{Kind: KindAttach, No: 1, Hook: "ingress"},
		{Kind: KindAttach, Hook: "egress", Qdisc: true},
		{Kind: KindDetach, No: 1, Hook: "ingress", Done: true},
		{Kind: KindBacklog, Backlog: &BacklogRecord{Was: 1000, Set: 10_000}},
		{Kind: KindGained, Done: true, No: 1, Config: &Config{Addresses: []rtnl.Object{late}}},
		{Kind: KindRenamed, Done: true, No: 1, Renamed: &RenamedRecord{Name: "lan1", MAC: 5}},
		{Kind: KindLost, Done: true, No: 1, Config: &Config{Addresses: []rtnl.Object{address}}},
		{Kind: KindLeft, No: 1, Done: true, Down: true, ConfigOnAdapter: true},
		{Kind: KindAway, No: 1, Done: true},
		{Kind: KindEnded, Done: true},
	}
	for i := range records {
		labtest.Must(t, j.Write(records[i]))
		records[i].Seq = i + 1
	}
	return path, records
}

func read(t testing.TB, b []byte) (got []Record, err error) {
	t.Helper()
	_, err = scan(bytes.NewReader(b), func(r Record, _ int64) { got = append(got, r) })
	return got, err
}

var exported = cmp.AllowUnexported(rtnl.Object{}, rtnl.Attribute{})

func TestJournalKeeps(t *testing.T) {
	path, want := sample(t)
	b, err := os.ReadFile(path)
	labtest.Must(t, err)
	got, err := read(t, b)
	labtest.Must(t, err)
	if d := cmp.Diff(want, got, exported); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// TestJournalCutAnywhere cuts a journal at every byte: what is read is the records that are whole, and writing goes on
// behind them.
func TestJournalCutAnywhere(t *testing.T) {
	path, all := sample(t)
	whole, err := os.ReadFile(path)
	labtest.Must(t, err)
	for n := range whole {
		got, err := read(t, whole[:n])
		labtest.Must(t, err)
		if want := max(bytes.Count(whole[:n], []byte("\n"))-1, 0); len(got) != want {
			t.Fatalf("cut at %d: %d records, want %d", n, len(got), want)
		}
		if n%17 != 0 || n <= len(journalHeader)+2 {
			continue
		}
		labtest.Must(t, os.WriteFile(path, whole[:n], 0o600))
		j, err := Open(path, nowhere)
		labtest.Must(t, err)
		labtest.Must(t, j.Write(Record{Kind: KindBacklog, Backlog: &BacklogRecord{Was: 7}}))
		j.Close() // the new record stands where the torn one began
		b, err := os.ReadFile(path)
		labtest.Must(t, err)
		more, err := read(t, b)
		labtest.Must(t, err)
		if len(more) != len(got)+1 || cmp.Diff(all[:len(got)], more[:len(got)], exported) != "" {
			t.Fatalf("cut at %d and continued: %d records, want %d", n, len(more), len(got)+1)
		}
	}
}

// TestJournalFlippedBit changes every byte: no record that was changed is used, and all others are, or none at all.
func TestJournalFlippedBit(t *testing.T) {
	path, all := sample(t)
	whole, err := os.ReadFile(path)
	labtest.Must(t, err)
	for n := range whole {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		var got []Record
		seen, err := scan(bytes.NewReader(bad), func(r Record, _ int64) { got = append(got, r) })
		line := bytes.Count(whole[:n], []byte("\n")) + 1
		if errors.Is(err, ErrNewer) {
			if line > 1 {
				t.Fatalf("byte %d of line %d changed: %v", n, line, err)
			}
			continue
		}
		labtest.Must(t, err)
		atEnd := n == len(whole)-1 // it looks as if it was being written
		want := slices.DeleteFunc(slices.Clone(all),
			func(r Record) bool { return r.Seq == line-1 || whole[n] == '\n' && r.Seq == line })
		if d := cmp.Diff(want, got, exported); d != "" {
			t.Fatalf("byte %d of line %d changed (-want +got):\n%s", n, line, d)
		}
		if len(seen.Damaged) == 0 && !atEnd {
			t.Fatalf("byte %d of line %d changed: no damage was seen", n, line)
		}
	}
}

func FuzzJournal(f *testing.F) {
	path, _ := sample(f)
	b, err := os.ReadFile(path)
	labtest.Must(f, err)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(journalHeader + " 2\n00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		var end int64
		seq := 0
		got, err := scan(bytes.NewReader(b), func(r Record, at int64) {
			if r.Seq <= seq || at <= end || at > int64(len(b)) {
				t.Fatalf("record %d at %d, after %d at %d of %d", r.Seq, at, seq, end, len(b))
			}
			seq, end = r.Seq, at
			s.Apply(r)
		})
		if err == nil && (got.end < end || got.end > int64(len(b))) {
			t.Fatalf("goes on at %d of %d", got.end, len(b))
		}
		exercise(&s)
	})
}

// FuzzRecord gets past the checksum: a body that a reader would believe must not break what uses it.
func FuzzRecord(f *testing.F) {
	_, records := sample(f)
	for _, r := range records {
		line, err := formatRecord(r)
		labtest.Must(f, err)
		f.Add(line[checksumLen : len(line)-1])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.ContainsRune(body, '\n') {
			return
		}
		r, err := parseRecord(checksummed(body))
		if err != nil {
			return
		}
		var s State
		s.Apply(r)
		exercise(&s)
		again, err := formatRecord(r)
		labtest.Must(t, err)
		if _, err := parseRecord(bytes.TrimSuffix(again, []byte("\n"))); err != nil {
			t.Fatalf("not read back: %s", again)
		}
	})
}

func checksummed(body []byte) []byte {
	line, _ := formatRecord(Record{})
	line = append([]byte(nil), line[:checksumLen]...)
	copy(line, []byte(sum(body)))
	return append(line, body...)
}

// TestRecordOfWrongShape refuses objects whose header is of another kind, whatever the checksum says.
func TestRecordOfWrongShape(t *testing.T) {
	short := rtnl.Object{Head: make([]byte, rtnl.AddressHeaderLen)}
	line, err := formatRecord(Record{Seq: 1, Kind: KindMember, No: 1, Member: &Member{Routes: []rtnl.Object{short}}})
	labtest.Must(t, err)
	if _, err := parseRecord(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
		t.Error("a route with an address's header was taken")
	}
}

func diffStates(a, b *State) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(State{}, MemberState{}, HookState{}, rtnl.Object{}, rtnl.Attribute{}),
		cmpopts.EquateEmpty())
}

// TestJournalStaysSmall has a NIC hidden and shown, hooked and unhooked, again and again: the journal does not grow,
// and says the same.
func TestJournalStaysSmall(t *testing.T) {
	path, _ := sample(t)
	j, err := Open(path, nowhere)
	labtest.Must(t, err)
	defer j.Close()
	most := j.end + compactBeyond + 512
	labtest.Must(t, j.Write(Record{Kind: KindMember, Done: true, No: 1, Member: &j.State.Members[0].Member}))
	for range 500 {
		for _, r := range []Record{
			{Kind: KindStrip, No: 1}, {Kind: KindIsolate, No: 1, Method: tchook.ByClsact, Qdisc: true},
			{Kind: KindAttach, No: 1, Hook: "ingress"},
			{Kind: KindDetach, No: 1, Hook: "ingress", Done: true}, {Kind: KindUnisolate, No: 1, Done: true},
			{Kind: KindLeft, No: 1, Done: true, ConfigOnAdapter: true},
		} {
			labtest.Must(t, j.Write(r))
		}
		if j.end > most {
			t.Fatalf("the journal has %d octets", j.end)
		}
	}
	again, err := Open(path, nowhere)
	labtest.Must(t, err)
	defer again.Close()
	if d := diffStates(&j.State, &again.State); d != "" {
		t.Errorf("(-in memory +on disk):\n%s", d)
	}
}

// TestLargeJournalIsSeldomWrittenAnew: what a change costs does not grow with the number of routes.
func TestLargeJournalIsSeldomWrittenAnew(t *testing.T) {
	path, _ := sample(t)
	anew := 0
	j, err := Open(path, func(point string) error {
		if point == "create journal" {
			anew++
		}
		return nil
	})
	labtest.Must(t, err)
	defer func() { j.Close() }()
	m := j.State.Members[0].Member
	for i := range 2000 {
		m.Routes = append(m.Routes, rtnl.NewDefaultRoute(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7))
	}
	labtest.Must(t, j.Write(Record{Kind: KindMember, Done: true, No: 1, Member: &m}))
	anew = 0
	for i := range 200 {
		late := Config{Routes: m.Routes[i : i+1]}
		labtest.Must(t, j.Write(Record{Kind: KindLost, Done: true, No: 1, Config: &late}))
		labtest.Must(t, j.Write(Record{Kind: KindGained, Done: true, No: 1, Config: &late}))
	}
	if anew > 1 {
		t.Errorf("written anew %d times", anew)
	}
}

// TestRecordsOfAState: what is written anew says the same.
func TestRecordsOfAState(t *testing.T) {
	_, all := sample(t)
	for n := range all {
		var s, again State
		for _, r := range all[:n+1] {
			s.Apply(r)
		}
		for _, r := range s.Records() {
			again.Apply(r)
		}
		if d := diffStates(&s, &again); d != "" {
			t.Errorf("after %d records (-state +again):\n%s", n+1, d)
		}
	}
}

// exercise asks a state that was read what the other packages ask of it.
func exercise(s *State) {
	s.Records()
	s.Inheritor()
	for _, m := range s.Members {
		m.OwnsDefaultRoute()
		m.HadConfig()
		m.WithIndex(7)
		for _, a := range m.Addresses {
			_, _, _ = s.FormedAddress(a)
			_ = m.UsesFamily(a.Family()) || m.HadAddress(a) || s.HasAddress(a)
		}
		for _, r := range m.Routes {
			_ = s.RoutesOnAdapter(4).Has(r) || s.IsAssignedRoute(r, 4)
		}
	}
}
