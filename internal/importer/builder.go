// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// builder makes a configuration of a Bond.
type builder struct {
	src      *Bond
	c        settings.Config
	standard settings.Config
	notes    []api.ImportNote
	asks     asks

	// Of teamd:
	teamdWatches []string // link watches
	watchAt      Entry    // the last link_watch.name
	best         bestPort
	prios        int // ports with a priority
}

// Convert makes a configuration of a bond. What has no equal is in the notes. Its errors are *api.Problem.
func Convert(src *Bond) (*Result, error) {
	b := &builder{src: src, c: settings.DefaultConfig(), standard: settings.DefaultConfig()}
	b.c.Team = src.Name
	for _, p := range src.Ports {
		b.c.Members = append(b.c.Members, settings.DefaultMember(p.Name))
	}
	if len(src.Ports) == 0 {
		return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%v: %s has no members", src.At, src.Name),
			Why: "a team is made of at least one NIC", Fix: "give the files of its NICs, too: a directory"}
	}
	if src.Teamd {
		b.teamd()
	} else {
		b.bonding()
	}
	b.network()
	if f := settings.Validate(&b.c); f != nil {
		if !strings.HasPrefix(f.Key, "link_watch") {
			return nil, &api.Problem{Kind: api.Usage,
				What: fmt.Sprintf("%v: %s: %s %s", src.At, src.Name, f.Key, f.What), Why: f.Why, Fix: f.Fix}
		}
		b.note(b.targetEntry(), f.What+": "+f.Why+"; link_watch stays auto")
		b.c.LinkWatch = b.standard.LinkWatch
	}
	return &Result{Config: b.c, Notes: b.notes}, nil
}

func (b *builder) note(e Entry, text string) { b.notes = append(b.notes, note(e, text)) }

// table reads the options that a table knows, in its order, and notes those that it does not know.
func (b *builder) table(t []Option) {
	for i := range t {
		o := &t[i]
		for _, e := range b.entries(b.src.Options, o) {
			b.take(o, e)
		}
		for _, p := range b.src.Ports {
			for _, e := range b.entries(p.Options, o) {
				switch {
				case o.port != nil:
					o.port(b, p.Name, e)
				case !o.same(e.Value):
					b.note(e, fmt.Sprintf("of %s: %s", p.Name, o.Note))
				}
			}
		}
	}
	lists := [][]Entry{b.src.Options}
	for _, p := range b.src.Ports {
		lists = append(lists, p.Options)
	}
	for _, e := range slices.Concat(lists...) {
		if find(t, e.Key) == nil && !e.Implied {
			b.note(e, "unknown: left out")
		}
	}
}

// entries are those of an option. Of several the last one counts, but targets add up.
func (b *builder) entries(list []Entry, o *Option) (found []Entry) {
	for _, e := range list {
		if e.Key == o.Key {
			found = append(found, e)
		}
	}
	adds := strings.HasSuffix(o.Key, "_target") || strings.HasPrefix(o.Key, "link_watch.")
	if n := len(found); n > 1 && !adds {
		found = found[n-1:]
	}
	return found
}

// take makes a setting of an entry, or notes it.
func (b *builder) take(o *Option, e Entry) {
	switch {
	case o.Setting == "" && o.take == nil:
		if !o.same(e.Value) && (!e.Implied || len(o.Same) > 0) {
			b.note(e, "no equal: "+o.Note)
		}
	case o.same(e.Value):
	case o.take != nil:
		o.take(b, e)
	default:
		b.set(e, o.Setting, e.Value)
	}
}

// set gives the configuration a value. What is not allowed is left out, with a note.
func (b *builder) set(e Entry, key, value string) {
	s := settings.Find(key)
	if s.Strict && s.Mode != b.c.Mode {
		return
	}
	next := b.c
	next.Members = slices.Clone(b.c.Members)
	f := s.Set(&next, value)
	if f == nil {
		f = s.Check(&next)
	}
	if f != nil {
		b.note(e, fmt.Sprintf("%s is left out: %s; %s", key, f.What, f.Why))
		return
	}
	b.c = next
}

// setMember gives a member a value.
func (b *builder) setMember(e Entry, nic, key, value string) {
	s := settings.Find(key)
	i := b.c.Index(nic)
	if i < 0 || s.Strict && s.Mode != b.c.Mode {
		if !e.Implied {
			b.note(e, fmt.Sprintf("%s is left out: it is of mode %v", key, s.Mode))
		}
		return
	}
	if f := s.SetMember(&b.c, i, value); f != nil {
		b.note(e, fmt.Sprintf("%s is left out: %s; %s", key, f.What, f.Why))
	}
}

// duration reads a time; a bare number is milliseconds.
func (b *builder) duration(e Entry) (time.Duration, bool) {
	text := e.Value
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		text += "ms"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		b.note(e, fmt.Sprintf("left out: %q is not a time", e.Value))
		return 0, false
	}
	return d, true
}

// bounded sets a time, and notes that it was out of bounds.
func (b *builder) bounded(e Entry, key string, d, low, high time.Duration) {
	is := min(max(d, low), high)
	if is != d {
		b.note(e, fmt.Sprintf("%s: %v, which is the nearest that is allowed", key, is))
	}
	b.set(e, key, is.String())
}

// clamp sets a whole number, and notes that it was out of bounds. add is what the source's number lacks.
func (b *builder) clamp(e Entry, key string, add, low, high int) {
	n, err := strconv.Atoi(e.Value)
	if err != nil {
		b.note(e, fmt.Sprintf("left out: %q is not a number", e.Value))
		return
	}
	n += add
	is := min(max(n, low), high)
	if is != n {
		b.note(e, fmt.Sprintf("%s: %d, which is the nearest that is allowed", key, is))
	}
	b.set(e, key, strconv.Itoa(is))
}
