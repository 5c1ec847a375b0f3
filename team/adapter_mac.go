package team

import (
	"context"
	"fmt"
	"time"

	"nicteam/internal/frame"
)

// AdapterMAC says which address the adapter has: somebody may have changed it by hand.
type AdapterMAC struct{ MAC frame.MAC }

func (AdapterMAC) isInput() {}

// adapterMAC follows the adapter's address. The System of 802.3ad keeps the one that the team began with: a partner would
// take another for another host.
func (l *Loop) adapterMAC(now time.Time, mac frame.MAC, out *Output) {
	if mac == l.adapter || mac == 0 || mac.Multicast() {
		return
	}
	l.addEvent(out, now, "adapter-mac-changed", "", fmt.Sprintf("%v, was %v", mac, l.adapter))
	l.adapter, l.dirty = mac, true
	l.fdb.removeMAC(mac) // the adapter may have sent with it before this was known
	l.announceAll(out)
}

// AdapterMAC says which address the adapter has.
func (t *Team) AdapterMAC(ctx context.Context, mac frame.MAC) error {
	_, err := t.post(ctx, request{in: AdapterMAC{MAC: mac}})
	return err
}
