// SPDX-License-Identifier: MIT

package host

import (
	"net"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestRebindingEnds starts a rebinding and closes the host without Adopt.
func TestRebindingEnds(t *testing.T) {
	labtest.Root(t)
	labtest.Tool(t, "nft", "nftables")
	box, outside := labtest.Host(t, "box"), labtest.Host(t, "outside")
	labtest.Cable(t, box, "out0", outside, "eth0", lab.CableOptions{})
	labtest.Must(t, box.SetAddr("out0", "10.9.0.1/24"))
	labtest.Must(t, outside.SetAddr("eth0", "10.9.0.2/24"))
	tables := func() string { return labtest.Run(t, box, "nft", "list", "tables") }
	labtest.Run(t, box, "nft",
		"table inet nat { chain post { type nat hook postrouting priority 100; oifname out0 masquerade; }; }")
	var server net.Listener
	labtest.Must(t, outside.Do(func() (err error) { server, err = net.Listen("tcp", "10.9.0.2:0"); return err }))
	defer server.Close()
	labtest.Must(t, box.Do(func() error {
		c, err := net.Dial("tcp", server.Addr().String())
		labtest.Must(t, err)
		defer c.Close()
		before := tables()
		h, err := Open(Options{StateDir: t.TempDir(), Team: teamName})
		labtest.Must(t, err)
		labtest.Must(t, h.RebindConnections([]string{"out0"}))
		if during := tables(); during == before {
			t.Errorf("no guard: %s", during)
		}
		labtest.Must(t, h.Close())
		if after := tables(); after != before {
			t.Errorf("tables of nft after the end:\n%s", after)
		}
		return nil
	}))
}
