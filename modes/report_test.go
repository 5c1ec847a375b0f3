// SPDX-License-Identifier: MIT

package modes

import (
	"net/netip"
	"testing"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

func TestGroupReportsOfGuestsLeaveByTheActiveMember(t *testing.T) {
	const guest frame.MAC = 0x020000000500
	g4, g6 := netip.MustParseAddr("239.1.1.1"), netip.MustParseAddr("ff02::1:ff00:1")
	reports := map[string][]byte{
		"IGMPv3": frame.IGMPReport(guest, netip.MustParseAddr("10.9.0.7"), []netip.Addr{g4}),
		"MLDv2":  frame.MLDReport(guest, netip.MustParseAddr("fe80::7"), []netip.Addr{g6}),
	}
	leave := append([]byte{}, reports["IGMPv3"]...)
	var h frame.Headers
	frame.Parse(leave, &h)
	leave[h.L4] = 0x17 // leave group
	query := append([]byte{}, leave...)
	query[h.L4] = 0x11
	reports["IGMP leave"] = leave

	st := elbState(4)
	st.Behind = stations(0, guest)
	for salt := uint64(0); ; salt++ {
		st.Settings.Salt = salt
		if start(st).Plan().Pin(guest) != 0 {
			break
		}
	}
	pl := start(st).Plan()
	pick := func(b []byte) int {
		p := spread.Picker{Now: 1}
		frame.Parse(b, &h)
		return p.Pick(pl, &h, b, len(b)).First()
	}
	for name, b := range reports {
		frame.Parse(b, &h)
		if got := pick(b); got != pl.Active || !spread.GroupReport(&h, b) {
			t.Errorf("%s leaves by %d, and the active member is %d", name, got, pl.Active)
		}
	}
	frame.Parse(query, &h)
	if got := pick(query); got != pl.Pin(guest) || spread.GroupReport(&h, query) {
		t.Errorf("a guest's query leaves by %d", got)
	}
}
