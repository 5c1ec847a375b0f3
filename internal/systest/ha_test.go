// SPDX-License-Identifier: MIT

package systest

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/ha"
	"nicteam/internal/lab/labtest"
)

var haRounds = flag.Int("ha", 0, "rounds of the tests of two hosts with one address, in each mode; 0: a short form")

var haSteps = flag.String("ha-steps", "", "only failures whose name matches this regular expression")

// newSite makes the site of docs/ha.md.
func newSite(t *testing.T, o ha.Options) *ha.Site {
	t.Helper()
	labtest.Root(t)
	labtest.Tool(t, "keepalived", "keepalived")
	if !o.IPVS {
		labtest.Tool(t, "conntrackd", "conntrackd")
	}
	labtest.Tool(t, "nft", "nftables")
	o.Program = program(t)
	limit := time.Minute
	if os.Getenv(lab.VirtioVariable) != "" {
		limit = 5 * time.Minute // an emulated processor
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := ha.NewSite(ctx, o)
	labtest.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			showSite(t, s)
		}
		labtest.Check(t, s.Close())
	})
	return s
}

// showSite prints what the servers' programs wrote.
func showSite(t *testing.T, s *ha.Site) {
	for _, h := range s.Servers() {
		for _, name := range []string{"keepalived", "conntrackd", "haproxy"} {
			if l := h.Log(name); l != "" {
				t.Logf("%s of %s:\n%s", name, h.Label, l)
			}
		}
		if b, err := os.ReadFile(h.Path("/var/lib/nicteam/" + teamName + ".log")); err == nil {
			t.Logf("log of %s on %s:\n%s", teamName, h.Label, b)
		}
	}
}

// siteTraffic starts traffic through a site.
func siteTraffic(t *testing.T, s *ha.Site, z ha.Sizes) *ha.Traffic {
	t.Helper()
	tr, err := s.StartTraffic(t.Context(), z)
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, tr.Stop()) })
	return tr
}

// checkStep fails the test if a rule of the step is broken. Times are judged only where the machine does nothing else.
func checkStep(t *testing.T, r *ha.Result) {
	t.Helper()
	t.Log(r)
	if len(r.Broken) > 0 || *haRounds > 0 && len(r.Late) > 0 {
		t.Errorf("%s: %s", r.Step, strings.Join(append(r.Broken, r.Late...), "; "))
	}
}

// TestTwoHostsOneAddress pulls one cable of the director, which nobody may notice, and then both: the other director
// takes over with the connections, and hands back.
func TestTwoHostsOneAddress(t *testing.T) {
	parallelWithTimers(t)
	begun := time.Now()
	s := newSite(t, ha.Options{Mode: "elb", Advert: "0.1", PreemptDelay: "1"})
	t.Logf("the site is ready after %v", time.Since(begun))
	tr := siteTraffic(t, s, ha.Sizes{Requests: 100, File: 40 << 20})
	checkStep(t, tr.Cable(t.Context(), s.VS1, "eth1"))
	checkStep(t, tr.BothCables(t.Context()))
}

// haSubjects are the modes and data paths of the long form.
func haSubjects() (all []ha.Options) {
	for _, mode := range []string{"elb", "active-backup", "802.3ad"} {
		for _, path := range []string{"fastpath", "relay"} {
			all = append(all, ha.Options{Mode: mode, Datapath: path})
		}
		all = append(all, ha.Options{Mode: mode, Datapath: "fastpath", VirtualMAC: true})
	}
	return all
}

// TestHARounds lets each part fail in random order, in each mode by each data path, and at the end vs1 for good. It
// prints a table of medians.
func TestHARounds(t *testing.T) {
	if *haRounds == 0 {
		t.Skip("takes hours: make test-ha")
	}
	for _, o := range haSubjects() {
		for _, advert := range []string{"", "0.1"} {
			o.Advert = advert
			name := fmt.Sprintf("%s, %s, advert %s", o.Mode, o.Datapath, cmp.Or(advert, "1"))
			if o.VirtualMAC {
				name += ", use_vmac"
			}
			t.Run(name, func(t *testing.T) {
				if o.Mode == "802.3ad" {
					labtest.Tool(t, "ovs-vswitchd", "openvswitch-switch")
				}
				s := newSite(t, o)
				tr := siteTraffic(t, s, ha.Sizes{})
				var report ha.Report
				steps := tr.Steps()
				maps.DeleteFunc(steps, func(name string, _ func(context.Context) *ha.Result) bool {
					return !regexp.MustCompile(*haSteps).MatchString(name)
				})
				for n := range *haRounds {
					names := slices.Sorted(maps.Keys(steps))
					rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
					t.Logf("round %d: %v", n+1, names)
					for _, name := range names {
						r := steps[name](t.Context())
						checkStep(t, r)
						report.Add(r)
						if t.Failed() && t.Context().Err() != nil {
							return
						}
					}
				}
				r := tr.HostDies(t.Context())
				checkStep(t, r)
				report.Add(r)
				var b strings.Builder
				report.Write(&b, name)
				t.Logf("\n%s", b.String())
			})
		}
	}
}
