// SPDX-License-Identifier: MIT

package tap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond,
		100 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			h := labtest.Host(t, "box")
			udev := labtest.Udev(t, h, delay)
			const mac, adapters = frame.MAC(0x020000000042), 4
			labtest.Must(t, h.Do(func() error {
				for i := range adapters {
					o := Options{Name: fmt.Sprintf("team%d", i), MAC: mac + frame.MAC(i), MTU: 1400}
					a, err := Create(o)
					if err != nil {
						return err
					}
					defer a.Delete()
					if l := link(t, o.Name); a.MAC() != o.MAC || a.Index() != l.Attrs().Index || !a.MACSettled() {
						t.Errorf("%s: MAC() is %v, want %v; index %d, want %d; settled %v", o.Name, a.MAC(),
							o.MAC, a.Index(), l.Attrs().Index, a.MACSettled())
					}
				}
				awaitUdev(t, udev)
				for i := range adapters {
					if got, want := frame.MACFrom(link(t, fmt.Sprintf("team%d", i)).Attrs().HardwareAddr),
						mac+frame.MAC(i); got != want {
						t.Errorf("team%d has %v, want %v", i, got, want)
					}
				}
				return nil
			}))
			if gave := udev.Assigned(); len(gave) != 1 {
				t.Errorf("udev gave %v, want one to last0 alone", gave)
			}
		})
	}
}

// awaitUdev returns when udev has done with all devices that are there. The calling thread is in its host.
func awaitUdev(t *testing.T, u *lab.Udev) {
	t.Helper()
	// It takes one device after the other.
	labtest.Must(t, netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "last0"},
		Mode: netlink.TUNTAP_MODE_TAP}))
	labtest.Eventually(t, "udev gives last0 an address", func() bool {
		gave := u.Assigned()
		return len(gave) > 0 && gave[len(gave)-1].Name == "last0"
	})
}

// The namespace in which an adapter is made is nobody's afterwards. The main thread does not end with a goroutine that
// is locked to it: it would be in there for good, and with it what others see as the namespace of the process.
func TestNoThreadStaysInAnotherNamespace(t *testing.T) {
	labtest.Root(t)
	namespaces := func() (all []string) {
		t.Helper()
		tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
		labtest.Must(t, err)
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil { // the thread may have ended
				all = append(all, ns)
			}
		}
		return all
	}
	before := namespaces()
	for range 50 {
		a, err := Create(Options{Name: "thread0"})
		labtest.Must(t, err)
		labtest.Must(t, a.Delete())
		labtest.Eventually(t, "no thread in a namespace that is new", func() bool {
			return !slices.ContainsFunc(namespaces(), func(ns string) bool { return !slices.Contains(before, ns) })
		})
	}
}
