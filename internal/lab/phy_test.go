// SPDX-License-Identifier: MIT

package lab_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safchain/ethtool"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// never is longer than any test waits.
const never = time.Hour

func TestCableRefusesWhatVethCannot(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	for _, o := range []lab.CableOptions{
		{HardwareA: lab.Hardware{Reset: 1}}, {HardwareA: lab.Hardware{SpeedUnknown: 1}},
		{HardwareA: lab.Hardware{LosesFirst: 1}}, {HardwareB: &lab.Hardware{LateCarrier: 1}},
	} {
		if c, err := lab.NewCable(a, "eth0", b, "eth0", o); err == nil {
			t.Errorf("a cable with %+v is made", o)
			c.Close()
		}
	}
}

func TestNICResets(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{HardwareA: lab.Hardware{Reset: 10 * time.Millisecond}})
	nic, err := a.Handle().LinkByName("eth0")
	labtest.Must(t, err)
	// The kernel may never tell of a carrier that comes back soon, but it counts.
	resets := func() string { return labtest.Run(t, a, "cat", "/sys/class/net/eth0/carrier_down_count") }
	for _, change := range []func() error{
		func() error { return a.Handle().LinkSetMTU(nic, 1400) },
		func() error { return a.Handle().LinkSetHardwareAddr(nic, thirdMAC) },
	} {
		before := resets()
		labtest.Must(t, change())
		labtest.Eventually(t, "the NIC resets", func() bool { return resets() != before })
		labtest.Eventually(t, "the carrier comes back", func() bool { return lowerUp(t, a, "eth0") })
	}
	// Other changes do not reset it, and the last one, which does, comes after them.
	before := resets()
	labtest.Must(t, a.Handle().SetPromiscOn(nic))
	labtest.Must(t, a.Handle().LinkSetTxQLen(nic, 77))
	labtest.Must(t, a.Handle().LinkSetAlias(nic, "uplink"))
	labtest.Must(t, a.Handle().LinkSetMTU(nic, 1500))
	labtest.Eventually(t, "the NIC resets", func() bool { return resets() != before })
	labtest.Eventually(t, "the carrier comes back", func() bool { return lowerUp(t, a, "eth0") })
	was, err := strconv.Atoi(strings.TrimSpace(before))
	labtest.Must(t, err)
	if got := strings.TrimSpace(resets()); got != strconv.Itoa(was+1) {
		t.Errorf("%s resets, want %d: one of four changes is of the MTU", got, was+1)
	}
}

func TestNICStaysInReset(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{HardwareA: lab.Hardware{Reset: never}})
	nic, err := a.Handle().LinkByName("eth0")
	labtest.Must(t, err)
	labtest.Must(t, a.Handle().LinkSetMTU(nic, 1400))
	labtest.Eventually(t, "no carrier in a reset", func() bool { return !lowerUp(t, a, "eth0") })
	labtest.Must(t, w.Cut())
	labtest.Must(t, w.Mend())
	if lowerUp(t, a, "eth0") {
		t.Error("mending the line ends a reset")
	}
	labtest.Must(t, w.A.Unplug())
	labtest.Must(t, w.A.Replug())
	labtest.Eventually(t, "a carrier in another slot", func() bool { return lowerUp(t, a, "eth0") })
}

// speed is what ethtool shows of eth0, 0 for unknown.
func speed(t *testing.T, h *lab.Host) (mbit uint32) {
	t.Helper()
	labtest.Must(t, h.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		mbit, err = e.CmdGet(&ethtool.EthtoolCmd{}, "eth0")
		if mbit >= 1<<16-1 {
			mbit = 0 // this reads 16 bits of it
		}
		return err
	}))
	return mbit
}

func TestSpeedComesLater(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{
		HardwareA: lab.Hardware{SpeedUnknown: never}, HardwareB: lab.Hardware{SpeedUnknown: time.Millisecond}})
	if got := speed(t, a); got != 0 {
		t.Errorf("speed %d right after the carrier came, want none", got)
	}
	labtest.Eventually(t, "a speed", func() bool { return speed(t, b) == 1000 })
}

func TestNICLosesFirstFrames(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", b, "eth0",
		lab.WireOptions{MACA: ownMAC, HardwareA: lab.Hardware{LosesFirst: never}})
	x := &bench{T: t, a: a, in: listenRaw(t, a, "eth0"), out: listenRaw(t, b, "eth0")}
	lostA, lostB := w.A.Lost(), w.B.Lost()
	x.send(ownMAC)
	labtest.Eventually(t, "a frame to the NIC is lost", func() bool { return w.A.Lost() > lostA })
	x.in, x.out = x.out, x.in
	x.send(broadcast)
	labtest.Eventually(t, "a frame of the NIC is lost", func() bool { return w.B.Lost() > lostB })

	c, d := labtest.Host(t, "c"), labtest.Host(t, "d")
	soon := lab.Hardware{LosesFirst: time.Millisecond}
	labtest.Wire(t, c, "eth0", d, "eth0", lab.WireOptions{MACA: ownMAC, HardwareA: soon})
	labtest.Must(t, c.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, d.SetAddr("eth0", "10.9.0.2/24"))
	labtest.Eventually(t, "frames pass in the end", func() bool { return reachable(t, d, c, "10.9.0.1") })
}

func TestCarrierIsLate(t *testing.T) {
	const late = 50 * time.Millisecond
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{HardwareA: lab.Hardware{LateCarrier: late}})
	for _, step := range []struct {
		do func() error
		up bool
	}{{w.Cut, false}, {w.Mend, true}} {
		labtest.Eventually(t, "the carrier as before", func() bool { return lowerUp(t, a, "eth0") != step.up })
		at := time.Now()
		labtest.Must(t, step.do())
		if lowerUp(t, b, "eth0") != step.up {
			t.Errorf("the other NIC's carrier is late: %v", !step.up)
		}
		labtest.Eventually(t, "the carrier changes", func() bool { return lowerUp(t, a, "eth0") == step.up })
		if took := time.Since(at); took < late {
			t.Errorf("carrier %v after %v, want %v or more", step.up, took, late)
		}
	}
}

// late is long enough for two calls to be over before it is.
const late = 500 * time.Millisecond

func TestLateCarrierMissesABlink(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{HardwareA: lab.Hardware{LateCarrier: late}})
	losses := func() string { return labtest.Run(t, a, "cat", "/sys/class/net/eth0/carrier_down_count") }
	labtest.Eventually(t, "a blink that the machine did not prolong", func() bool {
		labtest.Eventually(t, "a carrier", func() bool { return lowerUp(t, a, "eth0") })
		before, cut := losses(), time.Now()
		labtest.Must(t, w.Cut())
		labtest.Must(t, w.Mend())
		if time.Since(cut) >= late {
			return false
		}
		labtest.Eventually(t, "the end of both delays", func() bool { return time.Since(cut) > 2*late })
		if losses() != before {
			t.Error("the host saw a cut that was shorter than its NIC takes to notice")
		}
		return true
	})
}

func TestLateCarrierStartsAgain(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{HardwareA: lab.Hardware{LateCarrier: late}})
	labtest.Eventually(t, "a second cut before the carrier is back", func() bool {
		labtest.Must(t, w.Cut())
		labtest.Eventually(t, "no carrier", func() bool { return !lowerUp(t, a, "eth0") })
		mended := time.Now()
		labtest.Must(t, w.Mend())
		labtest.Eventually(t, "half of the delay", func() bool { return time.Since(mended) > late/2 })
		again := time.Now()
		labtest.Must(t, w.Cut())
		labtest.Must(t, w.Mend())
		inTime := time.Since(mended) < late
		labtest.Eventually(t, "a carrier", func() bool { return lowerUp(t, a, "eth0") })
		if took := time.Since(again); inTime && took < late {
			t.Errorf("carrier %v after the line was mended again, want %v or more", took, late)
		}
		return inTime
	})
}

func TestOffloads(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hw      lab.Hardware
		in, out bool // super-frames
	}{
		{"all", lab.Hardware{}, true, true},
		{"no segmentation", lab.Hardware{NoSegmentation: true}, true, false},
		{"no coalescing", lab.Hardware{NoCoalescing: true}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onLines(t, tt.hw, func(b *bench) {
				labtest.Must(t, b.a.SetAddr("eth0", "10.9.0.1/24"))
				labtest.Must(t, b.b.SetAddr("eth0", "10.9.0.2/24"))
				if got := superFrames(b.T, b.b, b.a, "10.9.0.1"); got != tt.in {
					b.Errorf("receives super-frames: %v, want %v", got, tt.in)
				}
				if got := superFrames(b.T, b.a, b.b, "10.9.0.2"); got != tt.out {
					b.Errorf("transmits super-frames: %v, want %v", got, tt.out)
				}
			})
		})
	}
}

// superFrames reports whether some of the frames of a transfer that arrive are larger than the MTU.
func superFrames(t *testing.T, from, to *lab.Host, address string) bool {
	t.Helper()
	received := func() (frames, octets uint64) {
		l, err := to.Handle().LinkByName("eth0")
		labtest.Must(t, err)
		return l.Attrs().Statistics.RxPackets, l.Attrs().Statistics.RxBytes
	}
	frames, octets := received()
	_, err := lab.Transfer(t.Context(), from, to, address, 10<<20)
	labtest.Must(t, err)
	f, o := received()
	return (o-octets)/(f-frames) > 1514
}

func TestTagInsertion(t *testing.T) {
	for _, no := range []bool{false, true} {
		onLines(t, lab.Hardware{NoTagInsertion: no}, func(b *bench) {
			labtest.Must(b, b.a.Do(func() error {
				e, err := ethtool.NewEthtool()
				if err != nil {
					return err
				}
				defer e.Close()
				f, err := e.Features("eth0")
				if err == nil && f["tx-vlan-hw-insert"] == no {
					b.Errorf("inserts tags: %v", f["tx-vlan-hw-insert"])
				}
				return err
			}))
		})
	}
}
