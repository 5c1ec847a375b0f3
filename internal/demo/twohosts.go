// SPDX-License-Identifier: MIT

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/ha"
)

// RunTwoHosts shows the site of docs/ha.md: what a cable, a switch and a director that fail cost those who use it. It
// runs this program again as Run does, and needs nothing of the options.
func RunTwoHosts(ctx context.Context, w io.Writer, _ Options) (code int, done bool, err error) {
	if err := ha.Missing(); err != nil {
		return 0, true, &api.Problem{Kind: api.Failed, What: "demo --ha: a program is missing", Why: err.Error(),
			Fix: "apt-get install keepalived nftables conntrackd procps", Err: err}
	}
	if code, done, err = lab.Isolate(); done || err != nil {
		return code, true, err
	}
	d := &demo{out: &pausableWriter{w: w}, begin: time.Now()}
	return 0, false, d.twoHosts(ctx)
}

func (d *demo) twoHosts(ctx context.Context) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	d.printf("five hosts on two switches: vs1 and vsbak share %v, in front of real1 and real2; client asks",
		ha.ServiceAddress)
	site, err := ha.NewSite(ctx, ha.Options{Program: exe, Mode: "elb"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	d.printf("each of the four servers has a team of two NICs; keepalived has put the address on vs1")
	if !ha.HasConntrackd() {
		d.printf("connections do not survive the loss of a director, since conntrackd is not installed")
	}
	t, err := site.StartTraffic(ctx, ha.Sizes{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Stop()) }()
	d.printf("200 requests a second, each by a new connection, an idle session, and a download of 100 MiB each time")

	var wrong []string
	for _, step := range []struct {
		what string
		run  func(context.Context) *ha.Result
	}{
		{"a cable of vs1 is pulled, and put back", func(ctx context.Context) *ha.Result {
			return t.Cable(ctx, site.VS1, "eth1")
		}},
		{"a whole switch goes dark, and comes back", t.Switch},
		{"nicteam is killed on vs1", t.KillTeam},
		{"both cables of vs1 are pulled: vsbak takes over; then they are put back", t.BothCables},
		{"vs1 dies", t.HostDies},
	} {
		d.printf("── %s ──", step.what)
		r := step.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.printResult(r)
		wrong = append(wrong, r.Broken...)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("what had to hold did not: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// printResult prints what a step cost.
func (d *demo) printResult(r *ha.Result) {
	d.printf("%d requests, %d failed, the slowest took %v", r.Answers.Asked, r.Answers.Failed,
		r.Answers.Worst.Round(time.Millisecond))
	d.printf("longest time without an answer %v", r.Beat.Gap)
	if r.Moved > 0 {
		d.printf("the address was on vsbak after %v; both had it for %v", r.Moved.Round(time.Millisecond),
			r.Both.Round(time.Millisecond))
	}
	if len(r.Broken) == 0 {
		d.printf("the download is whole, the session goes on")
	}
	for _, line := range r.Broken {
		d.printf("!! %s", line)
	}
	for _, line := range r.Late {
		d.printf("slow, perhaps because other programs need the processors: %s", line)
	}
}
