// SPDX-License-Identifier: MIT

package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// picker is the list from which NICs are chosen: space chooses one, Enter ends the choice. It is pure, as Model is, and
// both [Pick] and the live view have one.
type picker struct {
	title  string // what is being chosen
	enter  string // what Enter does, in a word
	leave  string // what Esc and q do
	nics   []Choice
	chosen []string // in the order of choosing
	cursor int      // index in shown
	top    int      // index in shown of the first line on the screen
	filter string
	typing bool // keys go to filter
	notice string

	screen // of what it is drawn on
}

// pickerAction is what a key asks the owner of a picker to do.
type pickerAction int

const (
	pickerStay   pickerAction = iota
	pickerDone                // go on with chosen, which is not empty
	pickerLeave               // nothing is to be changed
	pickerReread              // read the NICs again
)

// setNICs replaces the list. What was chosen stays chosen as long as it can be.
func (p *picker) setNICs(nics []Choice) {
	under := ""
	if c := p.current(); c != nil {
		under = c.Name
	}
	p.nics = nics
	p.chosen = slices.DeleteFunc(p.chosen, func(name string) bool {
		return !slices.ContainsFunc(nics, func(c Choice) bool { return c.Name == name && c.usable() })
	})
	if i := slices.IndexFunc(p.shown(), func(c *Choice) bool { return c.Name == under }); i >= 0 {
		p.cursor = i
	}
	p.clamp()
}

// shown returns the NICs that pass the filter.
func (p *picker) shown() []*Choice {
	list := make([]*Choice, 0, len(p.nics))
	for i := range p.nics {
		if p.nics[i].matches(p.filter) {
			list = append(list, &p.nics[i])
		}
	}
	return list
}

// current returns the NIC under the cursor, nil in an empty list.
func (p *picker) current() *Choice {
	if list := p.shown(); p.cursor < len(list) {
		return list[p.cursor]
	}
	return nil
}

// clamp keeps the cursor in the list, and the list's part on the screen around the cursor.
func (p *picker) clamp() {
	n, rows := len(p.shown()), p.rows()
	p.cursor = max(min(p.cursor, n-1), 0)
	p.top = min(p.top, p.cursor)
	p.top = max(p.top, p.cursor-rows+1)
	p.top = max(min(p.top, n-rows), 0)
}

// key handles a key.
func (p *picker) key(k tea.KeyPressMsg) (do pickerAction) {
	defer p.clamp()
	p.notice = ""
	name := k.String()
	switch name { // also while a filter is typed
	case "up":
		p.cursor--
		return pickerStay
	case "down":
		p.cursor++
		return pickerStay
	case "pgup":
		p.cursor -= p.rows()
		return pickerStay
	case "pgdown":
		p.cursor += p.rows()
		return pickerStay
	}
	if p.typing {
		p.filterKey(name, k.Text)
		return pickerStay
	}
	switch name {
	case "k":
		p.cursor--
	case "j":
		p.cursor++
	case "home", "g":
		p.cursor = 0
	case "end", "G":
		p.cursor = len(p.nics)
	case "space", "x":
		p.toggle()
	case "/":
		p.typing = true
	case "r":
		return pickerReread
	case "enter":
		if len(p.chosen) > 0 {
			return pickerDone
		}
		p.notice = "space chooses a NIC first"
	case "esc":
		if p.filter == "" {
			return pickerLeave
		}
		p.filter = ""
	case "q":
		return pickerLeave
	}
	return pickerStay
}

// maxFilter bounds the filter in bytes.
const maxFilter = 40

// filterKey handles a key while the filter is typed.
func (p *picker) filterKey(name, text string) {
	switch {
	case name == "enter", name == "tab":
		p.typing = false
	case name == "esc":
		p.typing, p.filter = false, ""
	case name == "backspace":
		if r := []rune(p.filter); len(r) > 0 {
			p.filter = string(r[:len(r)-1])
		}
	case name == "ctrl+u":
		p.filter = ""
	case text != "" && len(p.filter)+len(text) <= maxFilter:
		p.filter += text
		p.cursor = 0
	}
}

// toggle chooses the NIC under the cursor, or no longer does.
func (p *picker) toggle() {
	c := p.current()
	switch {
	case c == nil:
	case slices.Contains(p.chosen, c.Name):
		p.chosen = slices.DeleteFunc(slices.Clone(p.chosen), func(name string) bool { return name == c.Name })
	case !c.usable():
		p.notice = c.Name + " cannot be a member: " + c.Why
	default:
		p.chosen = append(slices.Clip(p.chosen), c.Name)
	}
}

// ssh returns those of the chosen NICs by which the user's SSH session goes.
func (p *picker) ssh() (names []string) {
	for i := range p.nics {
		if c := &p.nics[i]; c.SSH && slices.Contains(p.chosen, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// names writes NICs for a line of text: all, or as many as fit into about 40 cells.
func names(list []string) string {
	text := strings.Join(list, ", ")
	for n := len(list) - 1; n > 0 && len(text) > 40; n-- {
		text = strings.Join(list[:n], ", ") + " and " + plural(len(list)-n, "more", "more")
	}
	return text
}
