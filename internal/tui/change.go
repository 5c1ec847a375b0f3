// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/control"
)

// prompt asks for the name of a NIC, unless a list was there to choose from, then for a confirmation.
type prompt struct {
	verb  string
	typed string
	nics  []string // to add or remove; y confirms. Empty: the name is typed
	note  string   // what to know before the confirmation
}

// text is the prompt in the last line.
func (p *prompt) text(team string) string {
	if len(p.nics) == 0 {
		return fmt.Sprintf("%s which NIC? %s_  (Enter, or Esc for none)", p.verb, p.typed)
	}
	to := "to"
	if p.verb == "remove" {
		to = "from"
	}
	return fmt.Sprintf("%s %s %s %s? y/n%s", p.verb, names(p.nics), to, team, p.note)
}

// startChange begins to add NICs (a) or to remove one (d).
func (m Model) startChange(key string) (Model, tea.Cmd) {
	switch {
	case m.readOnly != "":
		m.notify(m.readOnly)
	case key == "d":
		m.prompt = &prompt{verb: "remove", typed: m.selected}
	case m.readNICs == nil:
		m.prompt = &prompt{verb: "add"}
	case !m.reading:
		m.reading = true
		return m, m.readChoices()
	}
	return m, nil
}

func (m *Model) readChoices() tea.Cmd {
	read, ctx := m.readNICs, m.ctx
	return func() tea.Msg {
		nics, err := read(ctx)
		return nicsMsg{nics, err}
	}
}

// choose shows the list of NICs, or the new one in place of the old. Without a list, as for a team in another network
// namespace, the name is typed.
func (m *Model) choose(msg nicsMsg) {
	m.reading = false
	switch {
	case msg.err != nil:
		m.notify("read the NICs: " + why(msg.err))
	case m.picker != nil:
		p := *m.picker
		p.setNICs(msg.nics)
		m.picker = &p
	case m.prompt != nil || m.help: // the user went on
	case msg.nics == nil:
		m.prompt = &prompt{verb: "add"}
	default:
		p := picker{title: "Add NICs to " + m.name, enter: "add", leave: "Esc back"}
		p.glyphs = m.draw.Glyphs
		p.resize(m.draw.Width, m.draw.Height)
		p.setNICs(msg.nics)
		m.picker = &p
	}
}

// pick handles a key in the list of NICs.
func (m Model) pick(k tea.KeyPressMsg) (Model, tea.Cmd) {
	p := *m.picker
	m.picker = &p
	switch p.key(k) {
	case pickerLeave:
		m.picker = nil
		m.notify("nothing is changed")
	case pickerReread:
		if !m.reading {
			m.reading = true
			return m, m.readChoices()
		}
	case pickerDone:
		m.picker = nil
		m.prompt = &prompt{verb: "add", nics: p.chosen}
		if ssh := p.ssh(); len(ssh) > 0 {
			m.prompt.note = "  (your SSH session goes by " + names(ssh) + ")"
		}
	}
	return m, nil
}

// answer handles a key while a prompt is open.
func (m Model) answer(k tea.KeyPressMsg) (Model, tea.Cmd) {
	p := *m.prompt
	m.prompt = &p
	name, sure := k.String(), len(p.nics) > 0
	switch {
	case name == "esc", sure && name != "y" && name != "Y":
		m.prompt = nil
		m.notify("nothing is changed")
	case sure:
		m.prompt = nil
		m.notify(p.verb + " " + names(p.nics) + " …")
		return m, m.change(p.verb, p.nics)
	case name == "enter":
		if p.typed != "" {
			p.nics = []string{p.typed}
		}
	case name == "backspace":
		if r := []rune(p.typed); len(r) > 0 {
			p.typed = string(r[:len(r)-1])
		}
	case name == "ctrl+u":
		p.typed = ""
	case k.Text != "" && len(p.typed)+len(k.Text) <= 15 && !strings.ContainsAny(k.Text, " /"):
		p.typed += k.Text
	}
	return m, nil
}

// change returns the command that adds or removes NICs.
func (m *Model) change(verb string, nics []string) tea.Cmd {
	src, ctx := m.src, m.ctx
	do := src.Remove
	if verb == "add" {
		do = src.Add
	}
	return func() tea.Msg {
		done, err := do(ctx, nics, control.ChangeOptions{})
		if err != nil {
			return noticeMsg(verb + " " + names(nics) + ": " + why(err))
		}
		return noticeMsg(strings.Join(done, "; "))
	}
}

// pendingText says what waits for confirmation, and which keys settle it; "" if nothing does.
func (m *Model) pendingText() string {
	p := m.status.Pending
	if p == nil {
		return ""
	}
	left := max(p.Until.Sub(m.now), 0).Round(time.Second) / time.Second
	return fmt.Sprintf("%s: undone in %d s.  c keep it  r undo it now", p.Change, left)
}

// settlePending confirms (c) or reverts (r) a change that waits for it, whoever made it.
func (m Model) settlePending(key string) (Model, tea.Cmd) {
	p := m.status.Pending
	switch {
	case p == nil:
		return m, nil
	case m.readOnly != "":
		m.notify(m.readOnly)
		return m, nil
	}
	do, verb := m.src.Confirm, "keep "
	if key == "r" {
		do, verb = m.src.Revert, "undo "
	}
	m.notify(verb + p.Change + " …")
	ctx, change := m.ctx, p.Change
	return m, func() tea.Msg {
		done, err := do(ctx)
		if err != nil {
			return noticeMsg(verb + change + ": " + why(err))
		}
		return noticeMsg(strings.Join(done, "; "))
	}
}
