// SPDX-License-Identifier: MIT

package manual

import (
	"fmt"
	"slices"
	"strings"
)

// width is how long the lines of a page's source are at most; only a word that is longer, and code, make longer ones.
const width = 78

// Page is a manual page that is being written.
type Page struct {
	Name    string // nicteam-create
	Section int
	Short   string // what it is, for apropos
	Date    string // of the program, 2006-01-02
	Source  string // the program and its version
	body    strings.Builder
	fresh   bool // a heading was written last: macros that begin a paragraph have no effect
}

// Ref is how other pages name it: nicteam-create(8).
func (p *Page) Ref() string { return fmt.Sprintf("%s(%d)", p.Name, p.Section) }

// File is its path in a directory of manual pages.
func (p *Page) File() string { return fmt.Sprintf("man%d/%s.%d", p.Section, p.Name, p.Section) }

var volumes = map[int]string{5: "File Formats", 7: "Miscellaneous", 8: "System Administration"}

// Bytes is the source of the page.
func (p *Page) Bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" SPDX-License-Identifier: MIT\n.TH %s %d %s %s %s\n", quote(strings.ToUpper(p.Name)),
		p.Section, quote(p.Date), quote(p.Source), quote(volumes[p.Section]))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n%s", escape(p.Name), escape(p.Short), p.body.String())
	return []byte(b.String())
}

// quote writes an argument of a macro: dashes are not for typing, and mandoc reads the date.
func quote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\(dq`, `\-`, "-").Replace(escape(s)) + `"`
}

// Head begins a section.
func (p *Page) Head(title string) {
	fmt.Fprintf(&p.body, ".SH %s\n", quote(title))
	p.fresh = true
}

// Sub begins a part of a section.
func (p *Page) Sub(title string) {
	fmt.Fprintf(&p.body, ".SS %s\n", quote(title))
	p.fresh = true
}

// Synopsis writes how a command is called: its words bold, what is to be replaced (in capitals) in italics.
func (p *Page) Synopsis(use string) {
	var list []string
	for word := range strings.FieldsSeq(use) {
		switch {
		case word[0] == '[' || strings.ToUpper(word) == word:
			list = append(list, `\fI`+escape(word)+`\fR`)
		default:
			list = append(list, `\fB`+escape(word)+`\fR`)
		}
	}
	p.paragraph()
	p.fill(list)
}

// Text writes a help text.
func (p *Page) Text(text string) { p.Blocks(Parse(text)) }

// Examples writes commands.
func (p *Page) Examples(text string) { p.Blocks(Parse("Examples:\n" + text)[1:]) }

// Blocks writes parts of a help text.
func (p *Page) Blocks(blocks []Block) {
	for _, b := range blocks {
		switch b.Kind {
		case Paragraph:
			p.paragraph()
			p.fill(strings.Fields(escape(b.Text)))
		case List:
			for _, it := range b.Items {
				p.Item(it.Name, it.Texts[0])
			}
		case Table:
			p.table(b)
		case Code:
			p.Code(b.Text)
		}
	}
}

// table writes the rows as a list: the last cell says what the row is about, the others are named by the head.
func (p *Page) table(b Block) {
	p.Sub(strings.ToLower(b.Head[0]))
	for _, it := range b.Items {
		last := len(it.Texts) - 1
		if last < 0 {
			p.Item(it.Name, "")
			continue
		}
		var text strings.Builder
		text.WriteString(sentence(it.Texts[last]))
		for i, cell := range it.Texts[:last] {
			if cell != "-" && cell != "" && i+1 < len(b.Head) {
				text.WriteString(" " + sentence(capital(strings.ToLower(b.Head[i+1]))+": "+cell))
			}
		}
		p.Item(it.Name, text.String())
	}
}

// Item writes an entry of a list: its name, bold, and what it is.
func (p *Page) Item(name, text string) { p.tagged(`\fB`+escape(name)+`\fR`, text) }

// Option is Item for a flag and the name of its value, "" for none.
func (p *Page) Option(name, value, text string) {
	tag := `\fB` + escape(name) + `\fR`
	if value != "" {
		tag += ` \fI` + escape(value) + `\fR`
	}
	p.tagged(tag, sentence(text))
}

// tagged is Item with the name as roff.
func (p *Page) tagged(tag, text string) {
	fmt.Fprintf(&p.body, ".TP\n%s\n", guard(tag))
	if text == "" {
		text = "\u00a0"
	}
	p.fill(strings.Fields(escape(text)))
	p.fresh = false
}

// Code writes lines as they are.
func (p *Page) Code(text string) {
	if !p.fresh {
		p.body.WriteString(".PP\n")
	}
	p.body.WriteString(".nf\n.RS 4\n")
	for line := range strings.SplitSeq(text, "\n") {
		p.body.WriteString(guard(escape(line)) + "\n")
	}
	p.body.WriteString(".RE\n.fi\n")
	p.fresh = false
}

// Lines writes lines as they are, as a part of the last entry of a list.
func (p *Page) Lines(lines []string) {
	p.body.WriteString(".IP\n.nf\n")
	for _, line := range lines {
		p.body.WriteString(guard(escape(line)) + "\n")
	}
	p.body.WriteString(".fi\n")
}

// paragraph begins one.
func (p *Page) paragraph() {
	if !p.fresh {
		p.body.WriteString(".PP\n")
	}
	p.fresh = false
}

// fill writes words, which are roff, in lines of width.
func (p *Page) fill(words []string) {
	line := ""
	for _, w := range words {
		switch {
		case line == "":
			line = w
		case len(line)+1+len(w) > width:
			p.body.WriteString(guard(line) + "\n")
			line = w
		default:
			line += " " + w
		}
	}
	if line != "" {
		p.body.WriteString(guard(line) + "\n")
	}
}

// guard keeps text from being read as a macro.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// glyphs are characters that roff would read otherwise, or print as others than what has to be typed; groff_char(7).
var glyphs = map[rune]string{'\\': `\e`, '-': `\-`, '\'': `\(aq`, '`': `\(ga`, '^': `\(ha`, '~': `\(ti`,
	'\u00a0': `\&`}

// escape writes text as roff, in ASCII.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch g, ok := glyphs[r]; {
		case ok:
			b.WriteString(g)
		case r == '\n' || r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r >= 0x80 && r <= 0x10ffff && r != '\ufffd':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

// sentence ends a text with a full stop, unless it has another end.
func sentence(text string) string {
	if text == "" || slices.Contains([]string{".", "?", "!", ":"}, text[len(text)-1:]) {
		return text
	}
	return text + "."
}

// capital begins a text with a capital letter.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
