// SPDX-License-Identifier: MIT

package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"nicteam/internal/settings"
)

// Update writes a configuration into a file that people write, too. Lines that say what is to be said stay as they are,
// and so do all comments: others are changed, added at the end or left out. A file that does not exist or cannot be
// read is written anew. Only one process may write a file at a time.
func Update(path string, c settings.Config) error {
	if b, err := readFile(path); err == nil {
		if text, ok := updated(string(b), &c); ok {
			return writeText(path, text)
		}
	}
	return Save(path, c)
}

// updated returns a YAML document that says c, made of one that says something else. It returns false if that one
// cannot be read, or not be edited line by line.
func updated(text string, c *settings.Config) (string, bool) {
	// One setting may imply another: mode balance-tlb does receive_balance off. So what comes out is read again.
	for range 3 {
		l, was, f, err := parseFor(c.Team, "", text)
		if err != nil || f != nil || settings.Validate(&was) != nil {
			return "", false
		}
		if _, named := l.lines["team"]; !named {
			was.Team = ""
		}
		if sameSettings(&was, c) {
			return text, true
		}
		d, ok := newDocument(text)
		if !ok {
			return "", false
		}
		for i := range settings.Table {
			if s := &settings.Table[i]; !s.NoFile && !s.PerNIC && !sameSetting(s, &was, c) {
				if err := d.put(s, &was, c); err != nil {
					return "", false
				}
			}
		}
		text = d.text()
	}
	return "", false
}

// sameSettings reports whether files of both say the same.
func sameSettings(a, b *settings.Config) bool {
	for i := range settings.Table {
		if s := &settings.Table[i]; !s.NoFile && !s.PerNIC && !sameSetting(s, a, b) {
			return false
		}
	}
	return true
}

func sameSetting(s *settings.Setting, a, b *settings.Config) bool {
	switch {
	case s.Type == settings.NICs:
		return reflect.DeepEqual(a.Members, b.Members)
	case s.LeftOut(a) && s.LeftOut(b):
		return true
	}
	return s.LeftOut(a) == s.LeftOut(b) && s.Text(a) == s.Text(b)
}

// document is a YAML document that is edited by whole lines: an entry of its map begins with a line and ends before the
// next one, without the comments in between.
type document struct {
	lines   []string
	entries []entry
	added   []string
}

// entry is a key of the document with its value.
type entry struct {
	key, value *yaml.Node
	from, to   int // its lines
	lines      []string
}

// newDocument returns false for what is no map with a line for each key.
func newDocument(text string) (*document, bool) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, false
	}
	d := &document{lines: strings.SplitAfter(text, "\n")}
	if len(doc.Content) == 0 {
		return d, true // comments only
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return nil, false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		if n := len(d.entries); k.Column != 1 || n > 0 && d.entries[n-1].from == k.Line-1 {
			return nil, false
		}
		d.entries = append(d.entries, entry{key: k, value: v, from: k.Line - 1})
	}
	for i := range d.entries {
		e := &d.entries[i]
		e.to = len(d.lines)
		if i+1 < len(d.entries) {
			e.to = d.entries[i+1].from
		}
		for e.to > e.from+1 && isBetween(d.lines[e.to-1]) {
			e.to--
		}
		e.lines = d.lines[e.from:e.to]
	}
	return d, true
}

// isBetween reports whether a line is between two entries, if it is not followed by another one of the first.
func isBetween(line string) bool {
	text := strings.TrimSpace(line)
	return text == "" || strings.HasPrefix(text, "#") || strings.HasPrefix(line, "...")
}

// dropFoot drops the comments behind a value, which are in lines between entries.
func dropFoot(n *yaml.Node) {
	n.FootComment = ""
	last := len(n.Content) - 1
	if n.Kind == yaml.MappingNode && last > 0 {
		dropFoot(n.Content[last-1])
	}
	if last >= 0 {
		dropFoot(n.Content[last])
	}
}

// put makes the document say of a setting what c does; was is what it says.
func (d *document) put(s *settings.Setting, was, c *settings.Config) error {
	i := slices.IndexFunc(d.entries, func(e entry) bool { return settings.Canonical(e.key.Value) == s.Key })
	v := s.Get(c)
	switch absent := s.LeftOut(c) || v == nil || v == ""; {
	case absent && i >= 0:
		d.entries[i].lines = nil
		return nil
	case absent:
		return nil
	case i < 0:
		text, err := encodeEntry(&yaml.Node{Kind: yaml.ScalarNode, Value: s.Key}, v)
		d.added = append(d.added, text)
		return err
	}
	e := &d.entries[i]
	key := *e.key
	key.HeadComment, key.FootComment = "", "" // in lines between entries
	dropFoot(e.value)
	if s.Type == settings.NICs && e.value.Kind == yaml.SequenceNode {
		if err := putMembers(e.value, was, c); err != nil {
			return err
		}
		text, err := encodeEntry(&key, e.value)
		e.lines = []string{text}
		return err
	}
	var value yaml.Node
	if err := value.Encode(v); err != nil {
		return err
	}
	value.LineComment = e.value.LineComment
	text, err := encodeEntry(&key, &value)
	e.lines = []string{text}
	return err
}

// putMembers makes a list of members say what c does. Entries that do so already stay, with their comments.
func putMembers(list *yaml.Node, was, c *settings.Config) error {
	entries := list.Content
	names := !slices.ContainsFunc(entries, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode })
	list.Content = nil
	for _, m := range c.Members {
		n := &yaml.Node{}
		i := was.Index(m.Name)
		if i >= 0 && i < len(entries) {
			n = entries[i]
		}
		if i < 0 || was.Members[i] != m {
			next, err := memberNode(m, c, names)
			if err != nil {
				return err
			}
			next.HeadComment, next.LineComment, next.FootComment = n.HeadComment, n.LineComment, n.FootComment
			n = next
		}
		list.Content = append(list.Content, n)
	}
	return nil
}

// memberNode is a member as a file has it. names: only its name, if that says all.
func memberNode(m settings.MemberConfig, c *settings.Config, names bool) (*yaml.Node, error) {
	var v any = m.Name
	if !names || m != settings.DefaultMember(m.Name) {
		one := *c
		one.Members = []settings.MemberConfig{m}
		v = reflect.ValueOf(settings.Find("members").Get(&one)).Index(0).Interface()
	}
	n := &yaml.Node{}
	err := n.Encode(v)
	return n, err
}

// encodeEntry is the text of a key and its value, which may be a node.
func encodeEntry(key *yaml.Node, v any) (string, error) {
	n, ok := v.(*yaml.Node)
	if !ok {
		n = &yaml.Node{}
		if err := n.Encode(v); err != nil {
			return "", err
		}
	}
	return encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, n}})
}

// text is the document as it is now.
func (d *document) text() string {
	var b strings.Builder
	at := 0
	for _, e := range d.entries {
		b.WriteString(strings.Join(d.lines[at:e.from], ""))
		b.WriteString(strings.Join(e.lines, ""))
		at = e.to
	}
	b.WriteString(strings.Join(d.lines[at:], ""))
	if s := b.String(); len(d.added) > 0 && s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString("\n")
	}
	b.WriteString(strings.Join(d.added, ""))
	return b.String()
}
