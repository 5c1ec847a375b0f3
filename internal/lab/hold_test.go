// SPDX-License-Identifier: MIT

package lab_test

import (
	"net"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestLAGHold(t *testing.T) {
	a, b, sw := labtest.Host(t, "a"), labtest.Host(t, "b"), labtest.Switch(t, "switch", lab.SwitchOptions{})
	labtest.Cable(t, b, "eth0", sw, "uplink", lab.CableOptions{})
	for _, n := range []string{"0", "1"} {
		labtest.Cable(t, a, "eth"+n, sw, "p"+n, lab.CableOptions{})
	}
	lag, err := sw.LAG("lag", lab.SpreadFrames, "p0", "p1")
	labtest.Must(t, err)
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	received := func(dev string) uint64 {
		l, err := a.Handle().LinkByName(dev)
		labtest.Must(t, err)
		return l.Attrs().Statistics.RxPackets
	}
	c, err := b.ListenPacket("udp4", "10.9.0.2:0")
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	const frames = 40
	send := func(hold bool) (held, other uint64) {
		t.Helper()
		labtest.Must(t, lag.Block("p0", hold))
		held, other = received("eth0"), received("eth1")
		for range frames {
			_, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 9, 0, 255), Port: 9})
			labtest.Must(t, err)
		}
		labtest.Eventually(t, "all frames", func() bool {
			return received("eth0")-held+received("eth1")-other >= frames
		})
		return received("eth0") - held, received("eth1") - other
	}
	if held, _ := send(true); held != 0 {
		t.Errorf("held port sent %d frames", held)
	}
	if held, other := send(false); held < frames/4 || other < frames/4 {
		t.Errorf("ports sent %d and %d frames, want half each", held, other)
	}
}
