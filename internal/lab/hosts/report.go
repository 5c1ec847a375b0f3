// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A report is what one host showed.
type report struct {
	Host, About string
	Began       time.Time
	Versions    []string
	Results     []result
	Err         error
}

// tolerance is a gap that an emulated processor has without any fault.
const tolerance = 5 * time.Second

// lookupTolerance is how long no name may resolve: a resolver asks again after 5 s.
const lookupTolerance = 15 * time.Second

// word says how an address was reached.
func (r reach) word() string {
	switch {
	case r.Answers == 0:
		return "**no**"
	case !r.AtEnd:
		return fmt.Sprintf("**dark at the end**, %s", seconds(r.Gap))
	case r.Gap > tolerance:
		return fmt.Sprintf("**gap %s** at %s", seconds(r.Gap), seconds(r.GapAt))
	}
	return "yes"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// reached is the cell of a family; an address that was never there is said so.
func (r result) reached(address string) string {
	if address == "" {
		return "**no address**"
	}
	return r.Ping[address].word()
}

func (r result) dns() string {
	switch {
	case r.Lookups == 0:
		return "not asked"
	case r.LookupGap > lookupTolerance && r.Unresolved > 0:
		return fmt.Sprintf("**%d of %d not, gap %s**", r.Unresolved, r.Lookups, seconds(r.LookupGap))
	}
	asked := r.Lookups - r.Busy
	text := fmt.Sprintf("yes (%d of %d)", asked-r.Unresolved, asked)
	if r.Busy > 0 {
		text += fmt.Sprintf(", %d not judged", r.Busy)
	}
	return text
}

func (r result) lease() string {
	var w []string
	if r.Renewals > 0 {
		w = append(w, fmt.Sprintf("renewed %d×", r.Renewals))
	} else if r.Took > leaseTime/2 {
		w = append(w, "**not renewed**")
	}
	switch {
	case r.Absent > 0:
		w = append(w, "**address missing**")
	case r.Lifetime < 0:
		w = append(w, "no limit")
	default:
		w = append(w, fmt.Sprintf("≥ %.0f s left", r.Lifetime.Seconds()))
	}
	return strings.Join(w, ", ")
}

func (r result) session() string {
	switch {
	case !r.Session:
		return "–"
	case r.NoLogin:
		return "**no login**"
	case r.SessionLost:
		return "**lost**"
	case r.SessionGap > tolerance:
		return "**waits " + seconds(r.SessionGap) + "**"
	}
	return "lives"
}

func (r result) notes() string {
	n := r.Notes
	if r.Err != nil {
		n = append(n[:len(n):len(n)], "**"+r.Err.Error()+"**")
	}
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(strings.Join(n, "; "))
}

// bad reports whether the row has anything in bold.
func (r result) bad() bool { return strings.Contains(r.row(), "**") }

func (r result) row() string {
	return strings.Join([]string{r.Scenario, r.reached(r.IPv4), r.reached(r.IPv6), r.dns(), r.lease(), r.session(),
		r.notes()}, " | ")
}

func (r result) summary() string { return strings.ReplaceAll(r.row(), "**", "") }

// markdown is the table of a run.
func markdown(reports []report) string {
	var b strings.Builder
	for _, r := range reports {
		fmt.Fprintf(&b, "### %s: %s\n\n", r.Host, r.About)
		fmt.Fprintf(&b, "%s. %s.\n\n", r.Began.UTC().Format("2006-01-02 15:04"), strings.Join(r.Versions, " · "))
		if len(r.Results) > 0 {
			b.WriteString("| scenario | IPv4 reached | IPv6 reached | DNS | lease | session | |\n" +
				"|---|---|---|---|---|---|---|\n")
		}
		for _, s := range r.Results {
			fmt.Fprintf(&b, "| %s |\n", s.row())
		}
		if r.Err != nil {
			fmt.Fprintf(&b, "\n**Not finished: %v**\n", r.Err)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func failures(reports []report) error {
	var errs []error
	for _, r := range reports {
		bad := 0
		for _, s := range r.Results {
			if s.bad() {
				bad++
			}
		}
		if bad > 0 || r.Err != nil {
			err := fmt.Errorf("%s: %d of %d scenarios show faults", r.Host, bad, len(r.Results))
			errs = append(errs, errors.Join(err, r.Err))
		}
	}
	return errors.Join(errs...)
}
