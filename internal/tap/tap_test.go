// SPDX-License-Identifier: MIT

package tap

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

func TestCheckName(t *testing.T) {
	tests := []struct {
		name string
		ok   bool
	}{
		{"team0", true}, {"a", true}, {"fifteen-letters", true}, {"eth0.100", true},
		{"", false}, {"sixteen-letters-", false}, {".", false}, {"..", false},
		{"a/b", false}, {"a:b", false}, {"team%d", false}, {"a b", false}, {"a\tb", false}, {"a\x00", false},
	}
	for _, tt := range tests {
		if err := checkName(tt.name); (err == nil) != tt.ok {
			t.Errorf("checkName(%q) = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func create(t *testing.T, o Options) *Adapter {
	t.Helper()
	labtest.Root(t)
	a, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Delete()
		if l, err := netlink.LinkByName(o.Name); err == nil {
			netlink.LinkDel(l)
		}
	})
	return a
}

func link(t *testing.T, name string) *netlink.Tuntap {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*netlink.Tuntap)
}

func TestCreateMakesWhatIsAskedFor(t *testing.T) {
	mac := frame.MAC(0x020000000042)
	a := create(t, Options{Name: "team0", MTU: 1400, MAC: mac, TxQueueLen: 1234})
	l := link(t, "team0")
	got := map[string]any{
		"index": l.Attrs().Index, "mtu": l.Attrs().MTU, "mac": frame.MACFrom(l.Attrs().HardwareAddr),
		"txq":   l.Attrs().TxQLen,
		"owner": l.Owner, "group": l.Group, "persist": !l.NonPersist, "vnet": l.Flags&netlink.TUNTAP_VNET_HDR != 0,
		"multi": l.Flags&netlink.TUNTAP_MULTI_QUEUE != 0, "queues": l.Queues, "up": l.Attrs().Flags&net.FlagUp != 0,
	}
	want := map[string]any{
		"index": a.Index(), "mtu": 1400, "mac": mac, "txq": 1234,
		"owner": uint32(0), "group": uint32(0), "persist": true, "vnet": true, "multi": true, "queues": 1, "up": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}
	if a.MAC() != mac {
		t.Errorf("MAC() = %v", a.MAC())
	}
	if !a.Offloads().TSO() || !strings.Contains(a.Offloads().String(), "checksum tso4 tso6") {
		t.Errorf("offloads are %v", a.Offloads())
	}
	tunnels, named := a.Offloads().Tunnel(), strings.HasSuffix(a.Offloads().String(), " tunnel")
	if want := !labtest.KernelBefore(t, 6, 17); tunnels != want || named != want {
		t.Errorf("offloads are %v, want those of tunnels: %v", a.Offloads(), want)
	}
	if flags, err := unix.FcntlInt(uintptr(a.queues[0].fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: not close-on-exec", flags, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	labtest.Root(t)
	before := openFiles(t)
	for _, name := range []string{"lo", "sixteen-letters-", ""} {
		if _, err := Create(Options{Name: name}); err == nil {
			t.Errorf("Create(%q) succeeded", name)
		}
	}
	if _, err := Create(Options{Name: "lo"}); !errors.Is(err, ErrExists) {
		t.Errorf("Create(lo) = %v, want ErrExists", err)
	}
	if _, err := Create(Options{Name: "team1", MTU: 1 << 20}); err == nil {
		t.Error("Create with an MTU of 1 MiB succeeded")
	}
	if _, err := netlink.LinkByName("team1"); err == nil {
		t.Error("a refused Create left its device behind")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestCarrier(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	if err := netlink.LinkSetUp(link(t, "team0")); err != nil {
		t.Fatal(err)
	}
	for _, up := range []bool{false, true, false, true} {
		if up || link(t, "team0").RawFlags&unix.IFF_LOWER_UP != 0 {
			if err := a.SetCarrier(up); err != nil {
				t.Fatal(err)
			}
		}
		if got := link(t, "team0").RawFlags&unix.IFF_LOWER_UP != 0; got != up {
			t.Errorf("carrier is %v, want %v", got, up)
		}
	}
}

// TestSpeed reads what ethtool and SNMP read of an adapter, which has another name by then.
func TestSpeed(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	if err := errors.Join(netlink.LinkSetName(link(t, "team0"), "other"),
		netlink.LinkSetUp(link(t, "other"))); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		bps    uint64
		duplex string
		speed  string
		shown  string
	}{
		{2_000_000_000, "full", "2000", "full"},
		{10_000_000, "half", "10", "half"},
		{0, "", "-1", "unknown"},
		{0, "full", "-1", "full"},
		{999_999, "full", "-1", "full"},
		{1 << 63, "full", "2147483647", "full"},
	}
	for _, tt := range tests {
		if err := a.SetSpeed(tt.bps, tt.duplex); err != nil {
			t.Errorf("SetSpeed(%d, %q): %v", tt.bps, tt.duplex, err)
		}
		speed, _ := os.ReadFile("/sys/class/net/other/speed")
		duplex, _ := os.ReadFile("/sys/class/net/other/duplex")
		if got := [2]string{strings.TrimSpace(string(speed)),
			strings.TrimSpace(string(duplex))}; got != [2]string{tt.speed, tt.shown} {
			t.Errorf("SetSpeed(%d, %q) shows %v, want %s %s", tt.bps, tt.duplex, got, tt.speed, tt.shown)
		}
	}
	if err := a.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := a.SetSpeed(1e9, "full"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("SetSpeed without a device: %v", err)
	}
}

func TestOpenKeepsIndexAndAddresses(t *testing.T) {
	a := create(t, Options{Name: "team0", MAC: 0x020000000042, MTU: 1300})
	l := link(t, "team0")
	addr, _ := netlink.ParseAddr("192.0.2.1/24")
	if err := errors.Join(netlink.LinkSetUp(l), netlink.AddrAdd(l, addr)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Name: "team0"}); !errors.Is(err, ErrBusy) {
		t.Fatalf("Open of a held adapter: %v, want ErrBusy", err)
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if err := a.SetCarrier(true); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetCarrier after Close: %v", err)
	}
	b, err := Open(Options{Name: "team0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Delete()
	if b.Index() != a.Index() || b.MAC() != a.MAC() || link(t, "team0").Attrs().MTU != 1300 {
		t.Errorf("opened index %d MAC %v MTU %d, had %d %v 1300", b.Index(), b.MAC(), link(t, "team0").Attrs().MTU,
			a.Index(), a.MAC())
	}
	if link(t, "team0").RawFlags&unix.IFF_LOWER_UP != 0 {
		t.Error("an opened adapter has carrier at once")
	}
	if as, err := netlink.AddrList(link(t, "team0"), netlink.FAMILY_V4); err != nil || len(as) != 1 {
		t.Errorf("addresses after Open: %v, %v", as, err)
	}
	if err := errors.Join(b.Delete(), b.Delete()); err != nil {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName("team0"); err == nil {
		t.Error("Delete left the device")
	}
}

func TestOpenRefusesForeign(t *testing.T) {
	labtest.Root(t)
	if _, err := Open(Options{Name: "lo"}); !errors.Is(err, ErrForeign) {
		t.Errorf("Open(lo) = %v", err)
	}
	if _, err := Open(Options{Name: "none0"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open(none0) = %v", err)
	}
	// A queue of somebody else, without the header: held while Open tries.
	w, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{
		Name: "tap7", MultiQueue: true, Persist: true, Permissions: &water.DevicePermissions{}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Name: "tap7"}); !errors.Is(err, ErrBusy) {
		t.Errorf("Open with a foreign queue = %v", err)
	}
	// The kernel ignores the flag then; openQueue notices by itself.
	if _, err := openQueue("tap7", 0); !errors.Is(err, ErrBusy) {
		t.Errorf("openQueue beside a queue without header = %v", err)
	}
	w.Close()
	a, err := Open(Options{Name: "tap7"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Delete(); err != nil {
		t.Fatal(err)
	}
}

func TestQueueCarriesFrames(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	q := a.Queues()[0]
	out := append(make([]byte, frame.VnetLen), bytes.Repeat([]byte{2}, 60)...)
	if _, err := q.Write(out); !errors.Is(err, unix.EIO) {
		t.Errorf("write to an adapter that is down: %v, want EIO", err)
	}
	if err := netlink.LinkSetUp(link(t, "team0")); err != nil {
		t.Fatal(err)
	}
	if n, err := q.Write(out); err != nil || n != len(out) {
		t.Errorf("Write = %d, %v", n, err)
	}
	if allocs := testing.AllocsPerRun(100, func() { q.Write(out) }); allocs != 0 {
		t.Errorf("Write makes %v allocations", allocs)
	}
	if err := a.SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	// With carrier the kernel's IPv6 sends router solicitations or reports by itself.
	in, n := make([]byte, frame.VnetLen+MaxFrame), 0
	var err error
	for n, err = q.Read(in); errors.Is(err, unix.EAGAIN); n, err = q.Read(in) {
		if !q.Wait() {
			t.Fatal("Wait ended by itself")
		}
	}
	if err != nil || n < frame.VnetLen+14 {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if src := frame.MACAt(in[frame.VnetLen:], 6); src != a.MAC() {
		t.Errorf("source of the read frame is %v, want %v", src, a.MAC())
	}
}

func TestWake(t *testing.T) {
	a := create(t, Options{Name: "team0"})
	q := a.Queues()[0]
	done := make(chan bool)
	go func() { done <- q.Wait() }()
	q.Wake()
	if <-done {
		t.Error("Wake did not end Wait")
	}
	if q.Wait() {
		t.Error("Wait after Wake waited")
	}
	if err := q.ClearWake(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- q.Wait() }()
	q.Wake()
	<-done
}
