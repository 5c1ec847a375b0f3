// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// metricValue returns a sample of `nicteam metrics`; labels besides the team are given as Prometheus writes them.
func metricValue(t *testing.T, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			labtest.Must(t, err)
			return v
		}
	}
	t.Errorf("%s is not told", name)
	return -1
}

// TestMetricsOfAFailover: metrics agree with the status, and a pulled cable is one failover with its duration, in a
// mode with one active member and in one without; then the traffic is exported.
func TestMetricsOfAFailover(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"active-backup", "elb"} {
		t.Run(mode, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 3})
			w.create(nics(3), "--mode", mode)
			tr := w.traffic(lab.Stream{Rate: 1000})
			tr.awaitFrames(2000)
			lost, began := 0, time.Now()
			for _, nic := range []string{w.status().Active, "eth3"} { // in active-backup eth3 stands by: no failover
				if nic == "" {
					nic = "eth1"
				}
				labtest.Must(t, w.wires[nic].Cut())
				w.awaitMember(nic, "down")
				lost++
			}
			tr.awaitFrames(500)
			tr.stop()
			want := map[string]float64{"active-backup": 1, "elb": 2}[mode]
			var text string
			labtest.Eventually(t, "the failover is counted", func() bool {
				text = w.nicteam("metrics")
				return metricValue(t, text, `nicteam_failovers_total{team="team0"}`) == want
			})
			took := metricValue(t, text, `nicteam_failover_duration_seconds_sum{team="team0"}`)
			if n := metricValue(t, text, `nicteam_failover_duration_seconds_count{team="team0"}`); n != want ||
				took <= 0 || took > time.Since(began).Seconds() {
				t.Errorf("%v failovers took %v s", n, took)
			}
			t.Logf("%v failovers took %v s", want, took)
			if n := metricValue(t, text, `nicteam_team_members_active{team="team0"}`); n != float64(3-lost) {
				t.Errorf("%v members active, want %d", n, 3-lost)
			}
			s := w.status() // read later, and nothing moves but a frame now and then
			for _, m := range s.Members {
				labels := fmt.Sprintf(`{member=%q,team="team0"}`, m.Name)
				for name, is := range map[string]uint64{"receive_packets": m.RX.Frames,
					"transmit_packets": m.TX.Frames} {
					if told := metricValue(t, text, "nicteam_"+name+"_total"+labels); told > float64(is) ||
						told < float64(is)-20 {
						t.Errorf("%s of %s: %v, status says %d", name, m.Name, told, is)
					}
				}
			}
			file := filepath.Join(t.TempDir(), "team0.svg")
			labtest.Eventually(t, "the traffic is in the history", func() bool {
				return w.try("export", "team0", "--last", "1m", "-o", file).Code == 0
			})
			b, err := os.ReadFile(file)
			labtest.Must(t, err)
			if err := xml.Unmarshal(b, new(struct{ XMLName xml.Name })); err != nil {
				t.Error(err)
			}
			if csv := w.nicteam("export", "team0", "--last", "1m", "--format", "csv", "-o",
				"-"); !strings.Contains(csv, ",protocol,udp,") {
				t.Errorf("no UDP in\n%s", csv)
			}
			if r := w.try("export", "team0/eth9", "-o", file); r.Code != 3 {
				t.Errorf("a stranger: %+v", r)
			}
		})
	}
}
