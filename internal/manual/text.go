// SPDX-License-Identifier: MIT

package manual

import (
	"regexp"
	"strings"
)

// Kind is the shape of a block.
type Kind uint8

// The shapes.
const (
	Paragraph Kind = iota
	List
	Table
	Code
)

// A Block is a part of a help text.
type Block struct {
	Kind  Kind
	Text  string   // of a paragraph: its words; of code: its lines, without their common indentation
	Head  []string // of a table
	Items []Item   // of a list or a table
}

// An Item is an entry of a list, with one text, or a row of a table, with the cells behind the first one.
type Item struct {
	Name  string
	Texts []string
}

// gap separates cells.
var gap = regexp.MustCompile(` {2,}`)

// Parse takes a help text apart.
func Parse(text string) (blocks []Block) {
	examples := false
	for _, lines := range chunks(text) {
		b := block(lines, examples)
		examples = strings.HasSuffix(b.Text, "Examples:") && b.Kind == Paragraph || examples && b.Kind == Code
		blocks = append(blocks, b)
	}
	return blocks
}

// chunks splits a text at blank lines, and where lines without indentation meet indented ones; but a table keeps its
// head.
func chunks(text string) (list [][]string) {
	var chunk []string
	end := func() {
		if len(chunk) > 0 {
			list = append(list, chunk)
		}
		chunk = nil
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "    "), "\n") {
		line = strings.TrimRight(line, " \r")
		if line == "" {
			end()
			continue
		}
		if n := len(chunk); n > 0 && indented(line) != indented(chunk[n-1]) && !(n == 1 && isHead(chunk[0])) {
			end()
		}
		chunk = append(chunk, line)
	}
	end()
	return list
}

func indented(line string) bool { return line[0] == ' ' }

// isHead reports whether a line is the head of a table.
func isHead(line string) bool { return !indented(line) && gap.MatchString(line) }

// block finds the shape of lines, of which there is one at least.
func block(lines []string, examples bool) Block {
	first := lines[0]
	switch {
	case isHead(first) && len(lines) > 1 && indented(lines[1]):
		return table(lines)
	case !indented(first):
		return Block{Kind: Paragraph, Text: words(strings.Join(lines, " "))}
	case !examples && gap.MatchString(strings.TrimLeft(first, " ")):
		return list(lines)
	}
	return Block{Kind: Code, Text: outdent(lines)}
}

func table(lines []string) Block {
	b := Block{Kind: Table, Head: gap.Split(lines[0], -1)}
	for _, line := range lines[1:] {
		cells := gap.Split(strings.TrimLeft(line, " "), len(b.Head))
		b.Items = append(b.Items, Item{Name: cells[0], Texts: cells[1:]})
	}
	return b
}

func list(lines []string) Block {
	b := Block{Kind: List}
	margin := indentation(lines[0])
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		if n := len(b.Items); n > 0 && indentation(line) > margin {
			b.Items[n-1].Texts[0] = words(b.Items[n-1].Texts[0] + " " + text)
			continue
		}
		cells := append(gap.Split(text, 2), "")
		b.Items = append(b.Items, Item{Name: cells[0], Texts: []string{words(cells[1])}})
	}
	return b
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// words leaves one space between words.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// outdent removes the indentation that all lines have.
func outdent(lines []string) string {
	least := indentation(lines[0])
	for _, line := range lines {
		least = min(least, indentation(line))
	}
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line[least:])
	}
	return b.String()
}
