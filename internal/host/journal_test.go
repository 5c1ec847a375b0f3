package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
	"nicteam/team"
)

func nowhere(string) error { return nil }

// sample is a journal with all kinds of record.
func sample(t testing.TB) (path string, records []record) {
	t.Helper()
	path = journalPath(t.TempDir(), teamName)
	j, err := createJournal(path, nil, nowhere)
	must(t, err)
	defer j.close()
	address := rtnl.Object{Head: []byte{2, 24, 0, 0, 3, 0, 0, 0}}
	address.Set(unix.IFA_LOCAL, []byte{10, 9, 0, 1})
	address.Set(unix.IFA_LABEL, []byte("eth1\x00"))
	late := address.Clone()
	late.Set(unix.IFA_LOCAL, []byte{10, 9, 0, 2})
	records = []record{
		{Kind: kindBegin, Done: true, Begin: &beginRecord{Team: teamName, Boot: "b", NetNS: 7, Links: []int{1, 3}}},
		{Kind: kindAdapter, Done: true, Adapter: &adapterRecord{Name: teamName, Index: 4, MAC: 0x020000000001}},
		{Kind: kindMember, Done: true, No: 1, Member: &Member{Identity: Identity{Name: "eth1", Index: 3, MAC: 2}, Up: true, MTU: 1500,
			Sysctls: map[string]string{disableIPv6: "0"}, Features: map[string]bool{"rx-lro": true}, Addresses: []rtnl.Object{address}}},
		{Kind: kindAdopt, Members: []int{1}},
		{Kind: kindGive, Given: []string{"10.0.0.1/8"}, Gateway: "10.0.0.2"},
		{Kind: kindStrip, No: 1},
		{Kind: kindIsolate, No: 1, Method: tchook.ByClsact, Qdisc: true},
		{Kind: kindHook, No: 1, Hook: "ingress"},
		{Kind: kindHook, Hook: "egress", Qdisc: true},
		{Kind: kindUnhook, No: 1, Hook: "ingress", Done: true},
		{Kind: kindBacklog, Backlog: &backlogRecord{Was: 1000, Set: 10_000}},
		{Kind: kindLate, Done: true, No: 1, Late: &belongings{Addresses: []rtnl.Object{late}}},
		{Kind: kindChanged, Done: true, No: 1, Now: &beingRecord{Name: "lan1", MAC: 5}},
		{Kind: kindForget, Done: true, No: 1, Late: &belongings{Addresses: []rtnl.Object{address}}},
		{Kind: kindLeft, No: 1, Done: true, Down: true, Lent: true},
		{Kind: kindAway, No: 1, Done: true},
		{Kind: kindEnded, Done: true},
	}
	for i := range records {
		must(t, j.write(records[i]))
		records[i].Seq = i + 1
	}
	return path, records
}

func read(t testing.TB, b []byte) (got []record, err error) {
	t.Helper()
	_, err = scan(bytes.NewReader(b), func(r record, _ int64) { got = append(got, r) })
	return got, err
}

var exported = cmp.AllowUnexported(rtnl.Object{}, rtnl.Attribute{})

func TestJournalKeeps(t *testing.T) {
	path, want := sample(t)
	b, err := os.ReadFile(path)
	must(t, err)
	got, err := read(t, b)
	must(t, err)
	if d := cmp.Diff(want, got, exported); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// TestJournalCutAnywhere cuts a journal at every byte: what is read is the records that are whole, and writing goes on behind them.
func TestJournalCutAnywhere(t *testing.T) {
	path, all := sample(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range whole {
		got, err := read(t, whole[:n])
		must(t, err)
		if want := max(bytes.Count(whole[:n], []byte("\n"))-1, 0); len(got) != want {
			t.Fatalf("cut at %d: %d records, want %d", n, len(got), want)
		}
		if n%17 != 0 || n <= len(journalHeader)+2 {
			continue
		}
		must(t, os.WriteFile(path, whole[:n], 0o600))
		j, err := openJournal(path, nowhere)
		must(t, err)
		must(t, j.write(record{Kind: kindBacklog, Backlog: &backlogRecord{Was: 7}}))
		j.close() // the new record stands where the torn one began
		b, err := os.ReadFile(path)
		must(t, err)
		more, err := read(t, b)
		must(t, err)
		if len(more) != len(got)+1 || cmp.Diff(all[:len(got)], more[:len(got)], exported) != "" {
			t.Fatalf("cut at %d and continued: %d records, want %d", n, len(more), len(got)+1)
		}
	}
}

// TestJournalFlippedBit changes every byte: no record that was changed is used, and all others are, or none at all.
func TestJournalFlippedBit(t *testing.T) {
	path, all := sample(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range whole {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		var got []record
		seen, err := scan(bytes.NewReader(bad), func(r record, _ int64) { got = append(got, r) })
		line := bytes.Count(whole[:n], []byte("\n")) + 1
		if errors.Is(err, errJournalVersion) {
			if line > 1 {
				t.Fatalf("byte %d of line %d changed: %v", n, line, err)
			}
			continue
		}
		must(t, err)
		atEnd := n == len(whole)-1 // it looks as if it was being written
		want := slices.DeleteFunc(slices.Clone(all), func(r record) bool { return r.Seq == line-1 || whole[n] == '\n' && r.Seq == line })
		if d := cmp.Diff(want, got, exported); d != "" {
			t.Fatalf("byte %d of line %d changed (-want +got):\n%s", n, line, d)
		}
		if len(seen.damaged) == 0 && !atEnd {
			t.Fatalf("byte %d of line %d changed: no damage was seen", n, line)
		}
	}
}

func FuzzJournal(f *testing.F) {
	path, _ := sample(f)
	b, err := os.ReadFile(path)
	must(f, err)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(journalHeader + " 2\n00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s state
		var end int64
		seq := 0
		got, err := scan(bytes.NewReader(b), func(r record, at int64) {
			if r.Seq <= seq || at <= end || at > int64(len(b)) {
				t.Fatalf("record %d at %d, after %d at %d of %d", r.Seq, at, seq, end, len(b))
			}
			seq, end = r.Seq, at
			s.apply(r)
		})
		if err == nil && (got.end < end || got.end > int64(len(b))) {
			t.Fatalf("goes on at %d of %d", got.end, len(b))
		}
		for _, m := range s.members {
			exercise(&m.Member)
		}
	})
}

// FuzzRecord gets past the checksum: a body that a reader would believe must not break what uses it.
func FuzzRecord(f *testing.F) {
	_, records := sample(f)
	for _, r := range records {
		line, err := formatRecord(r)
		must(f, err)
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
		var s state
		s.apply(r)
		for _, m := range s.members {
			exercise(&m.Member)
		}
		again, err := formatRecord(r)
		must(t, err)
		if _, err := parseRecord(bytes.TrimSuffix(again, []byte("\n"))); err != nil {
			t.Fatalf("not read back: %s", again)
		}
	})
}

func checksummed(body []byte) []byte {
	line, _ := formatRecord(record{})
	line = append([]byte(nil), line[:checksumLen]...)
	copy(line, []byte(sum(body)))
	return append(line, body...)
}

// exercise does with a recorded member what giving back does before it asks the kernel.
func exercise(m *Member) {
	m.ownsDefault()
	b := &back{by: map[int]int{3: 4}, adapter: &NIC{Index: 9}, j: &journal{}}
	b.members = []*returning{{m: &memberState{Member: *m}, nic: NIC{Index: 4}}}
	for _, a := range m.Addresses {
		_, _ = rtnl.Aged(rtnl.Relabel(rtnl.AddressRequest(a, 4, 0), "eth1", "team0"), 5)
		_ = m.kernelLinkLocal(a) || rtnl.IsAutoconfigured(a) || rtnl.HasConnectedRoute(a)
		_, _, _ = refreshed(a, lentAddress{a, m}, rtnl.Prefix{Preferred: 5, Valid: 9}, 3)
		for _, r := range m.Routes {
			_ = rtnl.IsConnectedRoute(r, a)
		}
	}
	for _, f := range advertisements(learning{routes: rtnl.AgedRoutes(m.Advertised, 5), form: m.Addresses}, nil) {
		_ = f
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		for _, r := range b.originals(family) {
			_ = b.adopted(r)
			_, _ = rtnl.RouteText(r), rtnl.Gateways(r, 4)
		}
	}
	for _, n := range m.Neighbours {
		_ = rtnl.IsPermanent(n)
		_ = rtnl.NeighbourAddr(n)
	}
	for _, r := range m.Rules {
		_ = rtnl.RuleFor(r, []string{"a"}, "b")
	}
}

// TestUnwritable refuses before anything is changed, with three lines.
func TestUnwritable(t *testing.T) {
	labtest.Root(t)
	full := filepath.Join(t.TempDir(), "full")
	must(t, os.Mkdir(full, 0o750))
	must(t, unix.Mount("none", full, "tmpfs", 0, "size=64k"))
	defer unix.Unmount(full, 0)
	readOnly := filepath.Join(t.TempDir(), "ro")
	must(t, os.Mkdir(readOnly, 0o750))
	must(t, unix.Mount("none", readOnly, "tmpfs", unix.MS_RDONLY, "size=64k"))
	defer unix.Unmount(readOnly, 0)
	for name, dir := range map[string]string{"full": full, "read-only": readOnly, "file": "/dev/null/state"} {
		h, err := Open(Options{StateDir: dir, Team: teamName})
		if err == nil {
			err = h.Begin()
			if h.Journalled() {
				t.Errorf("%s: there is a journal", name)
			}
			h.Close()
		}
		var p *team.Problem
		if !errors.As(err, &p) || p.Why == "" || p.Fix == "" {
			t.Errorf("%s: %v is no problem with why and fix", name, err)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

// TestOtherBoot puts a journal of another boot aside and touches nothing.
func TestOtherBoot(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	must(t, takeover(w, h))
	path := h.journal.path
	h.Close()
	before := snapshot(t)
	rewrite(t, path, func(r *record) {
		if r.Begin != nil {
			r.Begin.Boot = "another"
		}
	})
	h = w.open(nil)
	if h.Journalled() || !strings.Contains(h.Note(), "earlier boot") {
		t.Errorf("journalled %v, note %q", h.Journalled(), h.Note())
	}
	out, err := h.Restore()
	must(t, err)
	if len(out.Members) != 0 || out.Adapter != "" {
		t.Errorf("restored %+v", out)
	}
	h.Close()
	compare(t, before, snapshot(t))
}

// TestOtherNamespace refuses a journal of a network namespace that is to be seen, and leaves it there; one of a namespace that is
// gone is put aside, also when this one has got its inode.
func TestOtherNamespace(t *testing.T) {
	labtest.Root(t)
	run(t, "ip netns add other")
	t.Cleanup(func() { exec.Command("ip", "netns", "del", "other").Run() })
	var other unix.Stat_t
	must(t, unix.Stat("/run/netns/other", &other))
	for name, c := range map[string]struct {
		change func(*beginRecord)
		lives  bool
	}{
		"lives":                       {func(b *beginRecord) { b.NetNS, b.Cookie = other.Ino, cookieAt("/run/netns/other") }, true},
		"lives, no cookie":            {func(b *beginRecord) { b.NetNS, b.Cookie = other.Ino, 0 }, true},
		"gone":                        {func(b *beginRecord) { b.NetNS, b.Cookie = 1, b.Cookie+1 }, false},
		"gone, no cookie":             {func(b *beginRecord) { b.NetNS, b.Cookie = 1, 0 }, false},
		"gone, another has its inode": {func(b *beginRecord) { b.NetNS, b.Cookie = other.Ino, 1<<60 }, false},
		"gone, this has its inode":    {func(b *beginRecord) { b.Cookie++ }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := w.open(nil)
			must(t, takeover(w, h))
			path := h.journal.path
			h.Close()
			before := snapshot(t)
			rewrite(t, path, func(r *record) {
				if r.Begin != nil {
					c.change(r.Begin)
				}
			})
			h = w.open(nil)
			_, err := h.Restore()
			var p *team.Problem
			if refused := errors.As(err, &p) && p.Kind == team.Conflict; refused != c.lives || err != nil && !refused {
				t.Errorf("restore: %v", err)
			}
			_, err = os.Stat(path)
			if there := err == nil; there != c.lives {
				t.Errorf("the journal: %v", err)
			}
			if _, err = os.Stat(path + ".old"); c.lives != (err != nil) {
				t.Errorf("the journal put aside: %v", err)
			}
			h.Close()
			compare(t, before, snapshot(t))
			h = w.open(nil)
			if err := h.Begin(); (err != nil) != c.lives {
				t.Errorf("begin: %v", err)
			}
		})
	}
}

func rewrite(t *testing.T, path string, change func(*record)) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	records, err := read(t, b)
	must(t, err)
	out := fmt.Appendln(nil, journalHeader, journalVersion)
	for _, r := range records {
		change(&r)
		line, err := formatRecord(r)
		must(t, err)
		out = append(out, line...)
	}
	must(t, os.WriteFile(path, out, 0o640))
}

// TestRecordOfWrongShape refuses objects whose header is of another kind, whatever the checksum says.
func TestRecordOfWrongShape(t *testing.T) {
	short := rtnl.Object{Head: make([]byte, rtnl.AddressHeaderLen)}
	line, err := formatRecord(record{Seq: 1, Kind: kindMember, No: 1, Member: &Member{Routes: []rtnl.Object{short}}})
	must(t, err)
	if _, err := parseRecord(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
		t.Error("a route with an address's header was taken")
	}
}

func diffStates(a, b *state) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(state{}, memberState{}, clsactState{}, rtnl.Object{}, rtnl.Attribute{}), cmpopts.EquateEmpty())
}
