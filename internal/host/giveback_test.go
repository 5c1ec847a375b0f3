// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// reach fails the test unless an address is on exactly one NIC that has a link, receives its frames and answers ARP.
func reach(t *testing.T, address string) (nic string) {
	t.Helper()
	for line := range strings.Lines(run(t, "ip -br addr show")) {
		f := strings.Fields(line)
		if !slices.ContainsFunc(f, func(s string) bool { return strings.HasPrefix(s, address+"/") }) {
			continue
		}
		if nic != "" {
			t.Errorf("%s is on %s and on %s", address, nic, f[0])
		}
		nic, _, _ = strings.Cut(f[0], "@")
		if f[1] != "UP" {
			t.Errorf("%s is on %s, which is %s", address, nic, f[1])
		}
	}
	if nic == "" {
		t.Errorf("%s is nowhere", address)
		return ""
	}
	if v, _ := readSysctl(nic, arpIgnore); v == memberARPIgnore {
		t.Errorf("%s answers no ARP", nic)
	}
	hooks := fmt.Sprint(tcxPrograms(t, nic, ebpf.AttachTCXIngress)) +
		run(t, "tc filter show dev "+nic+" ingress; nft list ruleset")
	if strings.Contains(hooks, "nicteam") {
		t.Errorf("%s is hidden from the host: %s", nic, hooks)
	}
	return nic
}

// TestDonorWithoutLink ends teams whose MAC donor has lost its NIC or cable, by delete and by Restore: addresses,
// routes and what depends on them are on the other NIC.
func TestDonorWithoutLink(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	ends := map[string]func(*world, *Host) (Restored, error){
		"delete": func(_ *world, h *Host) (Restored, error) {
			out, err := h.ReleaseAll(nil)
			if err == nil {
				_, err = h.Finish()
			}
			return out, err
		},
		"restore": func(w *world, h *Host) (Restored, error) {
			h.Close()
			return w.open(nil).Restore()
		},
	}
	for name, end := range ends {
		for what, how := range map[string]string{"NIC gone": "ip link del na", "cable out": "ip link set pna down"} {
			t.Run(name+", "+what, func(t *testing.T) {
				w := newWorld(t)
				mac := strings.TrimSpace(run(t,
					"cat /sys/class/net/na/address 2>/dev/null || ip -br link show na | awk '{print $3}'"))
				run(t, `echo 1 >/proc/sys/net/ipv4/conf/na/arp_ignore; ip addr add 10.9.0.1/24 dev na metric 77; ip addr add 10.9.0.5/24 dev na noprefixroute
					ip -6 addr add fd09::1/64 dev na nodad; ip addr add 10.8.0.1/24 dev nb
					ip route add default via 10.9.0.254 dev na proto dhcp metric 100; ip route add 10.20.0.0/16 via 10.9.0.253 src 10.9.0.5
					ip -6 route add default via fd09::fe dev na`)
				h := w.open(nil)
				must(t, takeover(w, h))
				run(t, "ip addr add 10.9.0.7/24 dev "+teamName) // later
				run(t, how)
				out, err := end(w, h)
				must(t, err)
				for _, a := range []string{"10.9.0.1", "10.9.0.5", "fd09::1", "10.9.0.7", "10.8.0.1"} {
					if nic := reach(t, a); nic != "nb" {
						t.Errorf("%s is on %s", a, nic)
					}
				}
				if notes := strings.Join(out.Notes, "\n"); !strings.Contains(notes, "10.9.0.1/24 of na goes to nb") ||
					strings.Count(notes,
						"nb keeps its own settings; they differ in: net.ipv4.conf.na.arp_ignore=1") != 1 {
					t.Errorf("notes: %s", notes)
				}
				for _, route := range []string{"default via 10.9.0.254 dev nb proto dhcp metric 100",
					"10.9.0.0/24 dev nb proto kernel scope link src 10.9.0.1 metric 77",
					"10.20.0.0/16 via 10.9.0.253 dev nb src 10.9.0.5"} {
					if all := run(t, "ip route"); !strings.Contains(all, route) {
						t.Errorf("no %q in\n%s", route, all)
					}
				}
				if all := run(t, "ip -6 route"); !strings.Contains(all, "default via fd09::fe dev nb") {
					t.Errorf("no IPv6 default route in\n%s", all)
				}

				h = w.open(nil)
				if gone := what == "NIC gone"; gone != slices.Contains(h.AbsentMembers(), "na") || h.HasJournal() {
					t.Fatalf("waits for %v, journalled %v", h.AbsentMembers(), h.HasJournal())
				} else if !gone {
					return
				}
				// The NIC returns. Nobody else wants one of its addresses any more.
				run(t,
					"ip addr del 10.9.0.7/24 dev nb; ip addr del fd09::1/64 dev nb; ip link add na address "+mac+
						" type veth peer name pna; ip link set pna up")
				out, err = h.Restore()
				must(t, err)
				if !slices.Equal(out.Members, []string{"na"}) {
					t.Errorf("given back: %v", out.Members)
				}
				settled(t)
				for a, nic := range map[string]string{"10.9.0.1": "nb", "10.9.0.5": "nb", "fd09::1": "na"} {
					if got := reach(t, a); got != nic {
						t.Errorf("%s is on %s, want %s", a, got, nic)
					}
				}
				h.Close()
				if h = w.open(nil); len(h.AbsentMembers()) > 0 || h.journal != nil {
					t.Errorf("there is still a journal, for %v", h.AbsentMembers())
				}
			})
		}
	}
}

// TestNoNICIsThere ends a team without any of its NICs. Their config stays in the journal, and a team may be made
// meanwhile.
func TestNoNICIsThere(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, then := range []string{"restore", "next team", "forget"} {
		t.Run(then, func(t *testing.T) {
			w := newWorld(t)
			run(t, "ip addr add 10.9.0.1/24 dev na; ip route add default via 10.9.0.254")
			mac := strings.Fields(run(t, "ip -br link show na"))[2]
			h := w.open(nil)
			must(t, takeover(w, h))
			run(t, "ip addr add 10.9.0.7/24 dev "+teamName+"; ip link del na; ip link del nb")
			must(t, finish(w, h))
			h.Close()
			back := func() { run(t, "ip link add na address "+mac+" type veth peer name pna; ip link set pna up") }
			h = w.open(nil)
			out, err := h.Restore()
			must(t, err)
			if notes := strings.Join(out.Notes, "\n"); len(out.Members) > 0 ||
				!strings.Contains(notes, "na is absent") {
				t.Errorf("restored %+v", out)
			}
			switch then {
			case "forget":
				if kept, err := h.ForgetAbsent("nb"); kept || err != nil || h.CheckForget("nb") == nil {
					t.Error("nb, which had nothing, was forgotten")
				}
				if kept, err := h.ForgetAbsent("na"); !kept || err != nil {
					t.Errorf("not forgotten: %v", err)
				}
				if _, err := os.Stat(journal.PathOf(w.dir, teamName)); !os.IsNotExist(err) {
					t.Errorf("the journal: %v", err)
				}
				return
			case "next team":
				must(t, w.takeover(h, "auto", "nc"))
				must(t, finish(w, h))
			}
			h.Close()
			back()
			h = w.open(nil)
			if then == "next team" { // as its start does
				_, err = h.RestoreAbsent()
			} else {
				_, err = h.Restore()
			}
			must(t, err)
			for _, a := range []string{"10.9.0.1", "10.9.0.7"} {
				if nic := reach(t, a); nic != "na" {
					t.Errorf("%s is on %q", a, nic)
				}
			}
			if r := run(t, "ip route show default"); !strings.Contains(r, "via 10.9.0.254 dev na") {
				t.Errorf("default route: %s", r)
			}
		})
	}
}

// TestNoNICHasALink ends a team without any link: all is as before.
func TestNoNICHasALink(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev nb; ip route add default via 10.9.0.254")
	before := run(t, "ip -br addr show scope global; ip route")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip link set pna down; ip link set pnb down")
	must(t, finish(w, h))
	run(t, "ip link set pna up; ip link set pnb up")
	labtest.Eventually(t, "as before",
		func() bool { return run(t, "ip -br addr show scope global; ip route") == before })
}

// damage corrupts a journal in one place.
type damage struct {
	name string
	do   func(b []byte, at int) []byte
}

var damages = []damage{
	{"cut", func(b []byte, at int) []byte { return b[:at] }},
	{"flip", func(b []byte, at int) []byte { b[at] ^= 1 << (at % 7); return b }},
	{"block of zeroes", func(b []byte, at int) []byte { clear(b[at:min(at+512, len(b))]); return b }},
}

// TestDamagedJournal corrupts the journal of a team whose process is gone, in many places (with -everywhere in more),
// and restores: either the host is reachable, or everything is kept and an error says so.
func TestDamagedJournal(t *testing.T) {
	for _, m := range []tchook.Method{tchook.ByTCX, tchook.ByClsact} {
		for _, d := range damages {
			t.Run(string(m)+", "+d.name, func(t *testing.T) {
				if !labtest.Apart(t) {
					return
				}
				kernelHas(t, m)
				restored, kept := 0, 0
				for at := 0; ; {
					w := newWorld(t)
					run(t,
						"ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev nb; ip route add default via "+
							"10.9.0.254")
					h := w.open(nil)
					h.hooks.Method = m
					must(t, takeover(w, h))
					h.Close()
					path := journal.PathOf(w.dir, teamName)
					whole, err := os.ReadFile(path)
					must(t, err)
					if at >= len(whole) {
						break
					}
					must(t, os.WriteFile(path, d.do(bytes.Clone(whole), at), 0o640))
					h, err = Open(Options{StateDir: w.dir, Team: teamName, Members: w.nics})
					must(t, err)
					_, err = h.Restore()
					h.Close()
					if err == nil {
						restored++
						for _, a := range []string{"10.9.0.1", "10.8.0.1"} {
							if nic := reach(t, a); nic == teamName {
								t.Errorf("%s is still on the adapter", a)
							}
						}
						if r := run(t, "ip route show default"); !strings.Contains(r, "via 10.9.0.254 dev n") {
							t.Errorf("default route: %s", r)
						}
					} else {
						kept++
						if _, e := os.Stat(path); e != nil {
							t.Errorf("refused and the journal is not there: %v", e)
						}
						for _, a := range []string{"10.9.0.1", "10.8.0.1"} {
							if have := run(t, "ip addr show dev "+teamName); !strings.Contains(have, a) {
								t.Errorf("refused and %s is not on the adapter", a)
							}
						}
					}
					if t.Failed() {
						t.Fatalf("at %d of %d, in line %d; restore: %v", at, len(whole),
							bytes.Count(whole[:at], []byte("\n"))+1, err)
					}
					step := len(whole)/8 + 7
					if *everywhere {
						step = 31
					}
					at += step
				}
				t.Logf("restored %d, kept %d", restored, kept)
				if restored == 0 {
					t.Error("nothing was ever restored")
				}
			})
		}
	}
}

// TestNewerJournal leaves a newer program's journal alone, in each way that it may be newer.
func TestNewerJournal(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	line := func(body string) []byte {
		return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum([]byte(body), castagnoli), body)
	}
	for name, change := range map[string]func([]byte) []byte{
		"format": func(b []byte) []byte {
			return bytes.Replace(b, []byte("journal 2\n"), []byte("journal 3\n"),
				1)
		},
		"kind of record": func(b []byte) []byte { return append(b, line(`{"seq":90,"kind":"knot"}`)...) },
		"field": func(b []byte) []byte {
			return append(b,
				line(`{"seq":90,"kind":"strip","no":1,"why":"new"}`)...)
		},
		"value": func(b []byte) []byte { return append(b, line(`{"seq":90,"kind":"strip","no":"one"}`)...) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			run(t, "ip addr add 10.9.0.1/24 dev na")
			h := w.open(nil)
			must(t, takeover(w, h))
			h.Close()
			path := journal.PathOf(w.dir, teamName)
			whole, err := os.ReadFile(path)
			must(t, err)
			newer := change(bytes.Clone(whole))
			must(t, os.WriteFile(path, newer, 0o640))
			before := snapshot(t)
			h = w.open(nil)
			if _, err := h.Restore(); err == nil || !strings.Contains(err.Error(), "newer") {
				t.Errorf("restore: %v", err)
			}
			if err := h.Begin(); err == nil {
				t.Error("a team began")
			}
			h.Close()
			compare(t, before, snapshot(t))
			if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, newer) {
				t.Errorf("the journal was changed: %v", err)
			}
		})
	}
}

// TestOlderJournal restores from a journal of version 1.
func TestOlderJournal(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	h.Close()
	path := journal.PathOf(w.dir, teamName)
	rewriteBegin(t, path, func(b *journal.BeginRecord) { b.Cookie = 0 })
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(b, []byte("journal 2\n"), []byte("journal 1\n"), 1), 0o640))
	h = w.open(nil)
	must(t, h.Begin()) // the next process of the team
	h.Close()
	if b, err = os.ReadFile(path); err != nil || !bytes.HasPrefix(b, []byte("nicteam-journal 2\n")) {
		t.Errorf("the team went on with %.20q, %v", b, err)
	}
	_, err = w.open(nil).Restore()
	must(t, err)
	compare(t, before, snapshot(t))
}

// TestJournalFillsUp fills the disk before each write of the journal while a team is made and ended: an error, and
// Restore puts the host back.
func TestJournalFillsUp(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for n := 1; ; n += 3 {
		w := newWorld(t)
		run(t, "ip addr add 10.9.0.1/24 dev na; ip route add default via 10.9.0.254")
		before := run(t, "ip -br addr; ip route")
		count := 0
		full := func(point string) error {
			if strings.Contains(point, "journal") {
				if count++; count >= n {
					return fmt.Errorf("write journal: %w", unix.ENOSPC)
				}
			}
			return nil
		}
		h := w.open(full)
		h.hooks.Method = tchook.ByClsact
		err := takeover(w, h)
		if err == nil {
			err = finish(w, h)
		}
		h.Close()
		if err == nil {
			break
		}
		h = w.open(nil)
		_, err = h.Restore()
		must(t, err)
		h.Close()
		settled(t)
		if after := run(t, "ip -br addr; ip route"); after != before {
			t.Fatalf("full from write %d on:\n%s\nwas\n%s", n, after, before)
		}
	}
}

// TestDeathWhileAnotherInherits kills a delete that moves addresses of a NIC without link to another, at each change;
// the cable returns before Restore: every address is on one NIC.
func TestDeathWhileAnotherInherits(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	stride := 9
	if *everywhere {
		stride = 1
	}
	for n := 1; ; n += stride {
		w := newWorld(t)
		run(t,
			"ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev na; ip -6 addr add fd09::1/64 dev na "+
				"nodad; ip route add default via 10.9.0.254")
		h := w.open(nil)
		must(t, takeover(w, h))
		run(t, "ip link set pna down")
		at, where := crashAt(n)
		h.setFaultPoint(at)
		err := finish(w, h)
		h.Close()
		if *where == "" {
			must(t, err)
			break
		}
		run(t, "ip link set pna up")
		_, err = w.open(nil).Restore()
		must(t, err)
		for _, a := range []string{"10.9.0.1", "10.9.0.2", "fd09::1"} {
			reach(t, a)
		}
		if r := run(t, "ip route show default"); strings.Count(r, "\n") != 1 {
			t.Errorf("default routes: %s", r)
		}
		if t.Failed() {
			t.Fatalf("died at point %d, %q", n, *where)
		}
	}
}

// TestDeathWhileAddressesWait dies while an address that came to the adapter is journalled for an absent NIC.
func TestDeathWhileAddressesWait(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for n := 1; ; n++ {
		w := newWorld(t)
		run(t, "ip addr add 10.9.0.1/24 dev na")
		mac := strings.Fields(run(t, "ip -br link show na"))[2]
		h := w.open(nil)
		must(t, takeover(w, h))
		run(t, "ip addr add 10.9.0.7/24 dev "+teamName+"; ip link del na; ip link del nb")
		at, where := crashAt(n)
		h.setFaultPoint(at)
		err := finish(w, h)
		h.Close()
		if *where == "" {
			must(t, err)
			break
		}
		h = w.open(nil)
		_, err = h.Restore()
		must(t, err)
		h.Close()
		run(t, "ip link add na address "+mac+" type veth peer name pna; ip link set pna up")
		_, err = w.open(nil).Restore()
		must(t, err)
		for _, a := range []string{"10.9.0.1", "10.9.0.7"} {
			if nic := reach(t, a); nic != "na" {
				t.Errorf("%s is on %q", a, nic)
			}
		}
		if t.Failed() {
			t.Fatalf("died at point %d, %q", n, *where)
		}
	}
}

// TestDeathBeforeStrip kills a create whose addresses are on the adapter and on a NIC that then loses its cable:
// Restore leaves each on one NIC.
func TestDeathBeforeStrip(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip "+
			"route add default via 10.9.0.254")
	h := w.open(nil)
	must(t, h.Begin())
	index := w.tap()
	must(t, h.RecordAdapter(index))
	for _, n := range w.nics {
		must1(h.RecordMember(n))
	}
	must(t, h.Adopt(index, w.nics))
	h.Close()
	run(t, "ip link set pna down")
	must1(w.open(nil).Restore())
	for _, a := range []string{"10.9.0.1", "10.9.0.2", "fd09::1"} {
		if nic := reach(t, a); nic != "nb" {
			t.Errorf("%s is on %s", a, nic)
		}
	}
}

// TestLostWhileDown ends a team whose adapter is down, and so lost its IPv6 addresses, without the NIC that they came
// from: another has them.
func TestLostWhileDown(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip -6 addr add fd08::1/64 dev nb "+
			"nodad")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip link set team0 down; ip link set pna down")
	must(t, finish(w, h))
	for _, a := range []string{"10.9.0.1", "fd09::1", "fd08::1"} {
		if nic := reach(t, a); nic != "nb" {
			t.Errorf("%s is on %s", a, nic)
		}
	}
}

// TestInheritorChanges kills a Restore after it gave later config to one NIC; the cable moves to the other one: it ends
// on one NIC.
func TestInheritorChanges(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for n := 1; ; n += 2 {
		w := newWorld(t)
		h := w.open(nil)
		must(t, takeover(w, h))
		h.Close()
		run(t, "ip addr add 10.50.0.1/24 dev team0; ip link set pna down")
		at, where := crashAt(n)
		h = w.open(at)
		_, err := h.Restore()
		h.Close()
		if *where == "" {
			must(t, err)
			break
		}
		run(t, "ip link set pna up; ip link set pnb down")
		must1(w.open(nil).Restore())
		if all := run(t, "ip -br addr"); strings.Count(all, "10.50.0.1/") != 1 {
			t.Fatalf("died at point %d, %q:\n%s", n, *where, all)
		}
	}
}
