// SPDX-License-Identifier: MIT

package systest

import (
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// newVirtioWorld is a world whose NICs, and the peer's, filter as hardware does.
func newVirtioWorld(t testing.TB, datapath string) *world {
	t.Helper()
	labtest.Root(t)
	w := &world{t: t, box: labtest.Host(t, "box"), peer: labtest.Host(t, "peer"), datapath: datapath}
	w.sw = labtest.Switch(t, "switch", lab.SwitchOptions{})
	for _, h := range []*lab.Host{w.box, w.peer} {
		// Duplicate address detection takes up to two seconds.
		labtest.Must(t, h.Sysctl("ipv6/conf/default/accept_dad", "0"))
	}
	labtest.VirtioCable(t, w.box, "eth1", w.sw, "p1")
	labtest.VirtioCable(t, w.box, "eth2", w.sw, "p2")
	labtest.VirtioCable(t, w.peer, "eth0", w.sw, "uplink")
	t.Cleanup(w.showLog)
	return w
}

// TestIPv6AloneOverVirtioNICs has no IPv4: the peer resolves box by multicast, which NICs filter. It resolves box again
// after its neighbour table was flushed, also by the member that takes over.
func TestIPv6AloneOverVirtioNICs(t *testing.T) {
	for _, path := range []string{"relay", "fastpath"} {
		for _, mode := range []string{"elb", "active-backup"} { // the others want more of a switch
			t.Run(path+"/"+mode, func(t *testing.T) {
				w := newVirtioWorld(t, path)
				labtest.Must(t, w.box.SetAddr("eth1", "fd09::1/64"))
				labtest.Must(t, w.peer.SetAddr("eth0", "fd09::2/64"))
				found := func(when string) {
					t.Helper()
					for range 2 {
						labtest.Run(t, w.peer, "ip", "neigh", "flush", "all")
						// Until it is answered once. The kernel asks anew each second.
						if out, err := w.peer.Command("ping", "-6", "-n", "-c", "1", "-w", "20",
							box6.String()).CombinedOutput(); err != nil {
							t.Fatalf("%s: the peer does not find box: %v\n%s", when, err, out)
						}
					}
				}
				found("without a team")
				w.create(nics(2), "--mode", mode)
				w.await("both members to work", func(s *api.Status) bool {
					return s.State == "up" && s.Datapath == path
				})
				found("with a team")
				w.nicteam("remove", teamName, "eth1")
				found("without eth1")
				w.nicteam("add", teamName, "eth1")
				w.nicteam("remove", teamName, "eth2")
				found("without eth2")
			})
		}
	}
}
