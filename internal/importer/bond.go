// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// Place is where something stands.
type Place struct {
	File string
	Line int // 0: the file has no lines, or it is not known
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Entry is an option as its source has it.
type Entry struct {
	Key   string // as the tables have it: miimon
	Typed string // as the source has it: mii-monitor-interval
	Value string
	At    Place
	// Implied: nobody wrote it. A running bond has a value of every option.
	Implied bool
}

// Port is a member of a Bond.
type Port struct {
	Name    string
	At      Place
	Options []Entry
}

// Bond is a bond or a team as its source has it.
type Bond struct {
	Name    string
	At      Place
	Teamd   bool // its options are teamd's
	Ports   []Port
	Options []Entry
	Network []Entry // address, gateway, dhcp, mtu, mac and what else a network has
}

// port returns the member of a name, and adds it if it is not there.
func (b *Bond) port(name string, at Place) *Port {
	for i := range b.Ports {
		if b.Ports[i].Name == name {
			return &b.Ports[i]
		}
	}
	b.Ports = append(b.Ports, Port{Name: name, At: at})
	return &b.Ports[len(b.Ports)-1]
}

// option returns the last value of an option.
func (b *Bond) option(key string) (e Entry, ok bool) {
	for _, o := range b.Options {
		if o.Key == key {
			e, ok = o, true
		}
	}
	return e, ok
}

// Result is what was made of a Bond.
type Result struct {
	Config settings.Config
	Notes  []api.ImportNote
}

// bonds is what a source has, in its order.
type bonds struct {
	list []*Bond
}

// named returns the bond of a name, and adds it if it is not there.
func (s *bonds) named(name string, at Place) *Bond {
	for _, b := range s.list {
		if b.Name == name {
			return b
		}
	}
	b := &Bond{Name: name, At: at}
	s.list = append(s.list, b)
	return b
}

// find returns the bond of a name, nil if there is none.
func (s *bonds) find(name string) *Bond {
	for _, b := range s.list {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// note is a note on an entry.
func note(e Entry, text string) api.ImportNote {
	typed := e.Typed
	if typed == "" {
		typed = e.Key
	}
	return api.ImportNote{File: e.At.File, Line: e.At.Line, Key: typed, Value: e.Value, Text: text}
}

// NoteText is a note as a line.
func NoteText(n api.ImportNote) string {
	what := strings.TrimSpace(n.Key + " " + n.Value)
	at := Place{n.File, n.Line}.String()
	if what == "" {
		return at + ": " + n.Text
	}
	return at + ": " + what + ": " + n.Text
}
