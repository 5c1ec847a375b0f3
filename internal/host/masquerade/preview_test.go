// SPDX-License-Identifier: MIT

package masquerade

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestCountTranslated reads what the kernel prints where it cannot be asked.
func TestCountTranslated(t *testing.T) {
	const text = `ipv4     2 tcp      6 431999 ESTABLISHED src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.0.1 dst=192.0.2.1 sport=4001 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4001 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.0.1 dst=192.0.2.1 sport=4002 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=50002 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.77.0.2 dst=192.0.2.1 sport=5000 dport=53 [UNREPLIED] src=192.0.2.1 dst=10.9.0.1 sport=53 dport=5000 mark=0 zone=0 use=2
ipv4     2 icmp     1 29 src=10.77.0.2 dst=192.0.2.1 type=8 code=0 id=1 src=192.0.2.1 dst=10.9.0.1 type=0 code=0 id=1 mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.7 sport=80 dport=4000 [ASSURED] mark=0 zone=0 use=2
ipv6     10 tcp      6 431984 ESTABLISHED src=fd77:0000:0000:0000:0000:0000:0000:0002 dst=fd01:0000:0000:0000:0000:0000:0000:0002 sport=53820 dport=42301 src=fd01:0000:0000:0000:0000:0000:0000:0002 dst=fd09:0000:0000:0000:0000:0000:0000:0001 sport=42301 dport=53820 [ASSURED] mark=0 zone=0 use=2
`
	addresses := []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")}
	if n := countTranslated(strings.NewReader(text), addresses); n != 5 {
		t.Errorf("%d connections are translated, want 5", n)
	}
	// What the kernel of this machine prints is read, too, if it does.
	if _, err := os.Stat("/proc/net/nf_conntrack"); err != nil {
		return
	}
	w := newNATWorld(t)
	d := w.download(t, "10.9.0.2:0")
	d.goesOn(t)
	if n := countTranslated(strings.NewReader(labtest.Run(t, w.box, "cat", "/proc/net/nf_conntrack")),
		addresses); n != 1 {
		t.Errorf("%d connections of one are found", n)
	}
}

// FuzzCountTranslated reads what may stand in /proc/net/nf_conntrack.
func FuzzCountTranslated(f *testing.F) {
	f.Add("src=10.77.0.2 dst=192.0.2.1 sport=4000 dport=80 src=192.0.2.1 dst=10.9.0.1 sport=80 dport=4000\n")
	f.Add("src=10.77.0.2 dst=192.0.2.1 src=192.0.2.1 dst=10.9.0.1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := countTranslated(strings.NewReader(text),
			[]netip.Addr{netip.MustParseAddr("10.9.0.1")}); n > strings.Count(text, "10.9.0.1") {
			t.Errorf("%d connections", n)
		}
	})
}

// TestNotRebound tells connections that are left, and leaves them without a message to the kernel: one in a flowtable
// cannot be deleted.
func TestNotRebound(t *testing.T) {
	one := examples()["TCP"]
	one.Set(ctaStatus, binary.BigEndian.AppendUint32(nil, established|1<<14))
	if n, why := notRebound([]connection{one, examples()["UDP"]}); n != 1 || !strings.Contains(why, "flowtable") {
		t.Errorf("%d are not carried: %s", n, why)
	}
	if n, why := notRebound([]connection{examples()["UDP"]}); n != 0 || why != "" {
		t.Errorf("%d are not carried: %s", n, why)
	}
	if n, why := notRebound(slices.Repeat([]connection{examples()["UDP"]}, maxConnections+7)); n != 7 || why == "" {
		t.Errorf("%d are not carried: %s", n, why)
	}
	c := &Rebinding{log: slog.New(slog.DiscardHandler), rebound: map[string]bool{}}
	if again := c.rebindBatch([]connection{one}); again != nil || c.failed != 1 || c.count != 0 {
		t.Errorf("again %v, %d left, %d carried", again, c.failed, c.count)
	}
	if note := c.Close(); !strings.Contains(note, "cut: 1 (") {
		t.Errorf("the note is %q", note)
	}
}
