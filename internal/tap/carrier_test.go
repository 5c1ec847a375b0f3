// SPDX-License-Identifier: MIT

package tap

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// TestLossIsReported: programs are told at once that the adapter has lost its carrier, also just after another link
// event, when the kernel alone would wait for up to a second; in the way that kernels before 6.8 need, too.
func TestLossIsReported(t *testing.T) {
	for name, report := range map[string]func(*Adapter) error{"asked for": (*Adapter).ReportLoss,
		"before 6.8": (*Adapter).setDormant} {
		t.Run(name, func(t *testing.T) {
			a := create(t, Options{Name: "team0"})
			other := create(t, Options{Name: "other0"})
			for _, nic := range []string{"team0", "other0"} {
				labtest.Must(t, netlink.LinkSetUp(link(t, nic)))
			}
			events, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
			defer close(done)
			labtest.Must(t, netlink.LinkSubscribe(events, done))
			await := func(running bool) time.Duration {
				t.Helper()
				began, timeout := time.Now(), time.After(labtest.Patience)
				for {
					select {
					case e := <-events:
						if e.Attrs().Name == "team0" && (e.Attrs().RawFlags&unix.IFF_RUNNING != 0) == running {
							return time.Since(began)
						}
					case <-timeout:
						t.Fatalf("no event says that it runs: %v", running)
					}
				}
			}
			for range 3 {
				labtest.Must(t, a.SetCarrier(true))
				await(true)
				labtest.Must(t, other.SetCarrier(true))
				labtest.Must(t, other.SetCarrier(false)) // another event just before
				labtest.Must(t, a.SetCarrier(false))
				labtest.Must(t, report(a))
				if took := await(false); took > 500*time.Millisecond {
					t.Errorf("programs are told after %v", took)
				}
			}
			labtest.Must(t, a.SetCarrier(true))
			await(true)
		})
	}
}
