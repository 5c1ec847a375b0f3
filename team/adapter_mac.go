package team

import (
	"context"
	"fmt"
	"time"

	"nicteam/internal/frame"
)

// AdapterMAC is the adapter's MAC, which may have been changed by hand.
type AdapterMAC struct{ MAC frame.MAC }

func (AdapterMAC) isInput() {}

// adapterMAC adopts the adapter's MAC. The LACP System keeps the MAC of the start: with another one, partners would
// take it for another host.
func (l *Loop) adapterMAC(now time.Time, mac frame.MAC, out *Output) {
	if mac == l.adapter || mac == 0 || mac.Multicast() {
		return
	}
	l.addEvent(out, now, "adapter-mac-changed", "", fmt.Sprintf("%v, was %v", mac, l.adapter))
	l.adapter, l.dirty = mac, true
	l.fdb.removeMAC(mac) // the adapter may have sent with it already
	l.announceAll(out)
}

// AdapterMAC reports the adapter's MAC.
func (t *Team) AdapterMAC(ctx context.Context, mac frame.MAC) error {
	_, err := t.post(ctx, request{in: AdapterMAC{MAC: mac}})
	return err
}
