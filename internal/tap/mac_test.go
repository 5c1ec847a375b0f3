package tap

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestUdevLeavesTheMAC creates adapters beside a udev that gives every new device with a random address another.
// Where the process may make no namespace, package daemon tests what becomes of that.
func TestUdevLeavesTheMAC(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			h := labtest.Host(t, "box")
			udev := labtest.Udev(t, h, delay)
			const mac = frame.MAC(0x020000000042)
			labtest.Must(t, h.Do(func() error {
				for i := range 10 {
					o := Options{Name: fmt.Sprintf("team%d", i), MAC: mac + frame.MAC(i), MTU: 1400}
					a, err := Create(o)
					if err != nil {
						return err
					}
					defer a.Delete()
					if l := link(t, o.Name); a.MAC() != o.MAC || a.Index() != l.Attrs().Index || !a.MACSettled() {
						t.Errorf("%s: MAC() is %v, want %v; index %d, want %d; settled %v", o.Name, a.MAC(), o.MAC, a.Index(), l.Attrs().Index, a.MACSettled())
					}
				}
				awaitUdev(t, udev)
				for i := range 10 {
					if got, want := frame.MACFrom(link(t, fmt.Sprintf("team%d", i)).Attrs().HardwareAddr), mac+frame.MAC(i); got != want {
						t.Errorf("team%d has %v, want %v", i, got, want)
					}
				}
				return nil
			}))
			if gave := udev.Gave(); len(gave) != 1 {
				t.Errorf("udev gave %v, want one to last0 alone", gave)
			}
		})
	}
}

// awaitUdev returns when udev has done with all devices that are there. The calling thread is in its host.
func awaitUdev(t *testing.T, u *lab.Udev) {
	t.Helper()
	// It takes one device after the other.
	labtest.Must(t, netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "last0"}, Mode: netlink.TUNTAP_MODE_TAP}))
	labtest.Eventually(t, "udev gives last0 an address", func() bool {
		gave := u.Gave()
		return len(gave) > 0 && gave[len(gave)-1].Name == "last0"
	})
}
