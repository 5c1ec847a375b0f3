// SPDX-License-Identifier: MIT

package selftest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/internal/ssh"
)

// Check waits until the host can be reached as before, at most until Within is over. It returns what it has found, as a
// text for people. A failure is an error that says who does not answer; a ctx that ends is none. A second Check asks
// again.
func (t *Test) Check(ctx context.Context) (step string, err error) {
	if t == nil {
		return "", nil
	}
	if t.Empty() {
		return "self-test: nothing to ask, as no gateway and no host answered before", nil
	}
	for _, g := range t.targets {
		g.passed, g.placed, g.asked, g.next = false, false, 0, time.Time{}
	}
	began := time.Now()
	progress := sessionSilent
	var broken error
	ok := t.poll(ctx, t.until, func() bool {
		for _, g := range t.targets {
			if broken = g.step(t.o.Host, t.links); broken != nil {
				return true
			}
		}
		progress = t.progress()
		return t.missing() == nil && progress != sessionWaits
	})
	switch {
	case broken != nil:
		return "", fmt.Errorf("self-test: %w", broken)
	case ctx.Err() != nil:
		return "", nil
	case ok:
		t.o.Log.Debug("self-test passed", "took", time.Since(began))
		return t.passed(progress), nil
	}
	var why []string
	if missing := t.missing(); missing != nil {
		why = append(why, t.failure(missing))
	}
	if progress == sessionWaits {
		why = append(why, fmt.Sprintf("what was sent on the SSH connection from %v is not acknowledged",
			t.o.Session.Client))
	}
	return "", fmt.Errorf("%s", strings.Join(why, "; "))
}

// missing lists the required neighbours that have not answered yet, nil for none.
func (t *Test) missing() (list []*target) {
	hosts, found := []*target(nil), false
	for _, g := range t.targets {
		switch required := t.isRequired(g); {
		case !g.placed && !t.o.Moves && g.asked == 0 && !g.next.IsZero():
			// The caller wants other addresses.
		case required && !g.passed:
			list = append(list, g)
		case !required && g.passed:
			found = true
		case !required:
			hosts = append(hosts, g)
		}
	}
	if !found {
		list = append(list, hosts...)
	}
	return list
}

// failure tells of neighbours that do not answer.
func (t *Test) failure(missing []*target) string {
	nowhere := slices.ContainsFunc(missing, func(g *target) bool { return !g.placed })
	var from []string
	for _, g := range missing {
		if !slices.Contains(from, g.Name) {
			from = append(from, g.Name)
		}
	}
	text := fmt.Sprintf("%s answered by %s before, and not by %s within %v", names(missing), strings.Join(from, ", "),
		t.where, t.o.Within)
	if nowhere {
		text += ", which has no address of that network"
	}
	return text
}

// passed tells of a success.
func (t *Test) passed(p progress) string {
	var answered []*target
	for _, g := range t.targets {
		if g.passed {
			answered = append(answered, g)
		}
	}
	var parts []string
	switch len(answered) {
	case 0:
		parts = append(parts, "nothing to ask, as "+t.where+" has other addresses than before")
	case 1:
		parts = append(parts, names(answered)+" answers by "+t.where)
	default:
		parts = append(parts, names(answered)+" answer by "+t.where)
	}
	if p == sessionProgresses {
		parts = append(parts, "the SSH connection goes on")
	}
	return "self-test: " + strings.Join(parts, ", ")
}

// progress is what TCP_INFO says of the SSH connection.
type progress int

const (
	sessionSilent     progress = iota // or there is none, or it has ended: nothing to judge
	sessionProgresses                 // what was sent is acknowledged
	sessionWaits                      // something that was sent is not
)

func (t *Test) progress() progress {
	if !t.session {
		return sessionSilent
	}
	info, there, err := t.o.Session.TCPInfo()
	if err != nil || !there {
		return sessionSilent
	}
	return judge(t.ref, info)
}

// judge compares a reading of a connection with one at Through. What was under way then may still be acknowledged by
// the way before, so only what was sent since proves anything. One byte more: of some connections the kernel counts the
// SYN.
func judge(ref, now ssh.TCPInfo) progress {
	switch {
	case now.BytesAcked > max(ref.BytesSent+1, ref.BytesAcked):
		return sessionProgresses
	case now.Unacked == 0 && now.NotSent == 0:
		return sessionSilent
	}
	return sessionWaits
}
