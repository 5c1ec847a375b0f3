// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"strings"

	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

// maxDepth bounds the nesting of a file; the deepest that means something is 3.
const maxDepth = 16

// lines are the lines of a file on which settings stand, by their path: mtu, members[1].weight.
type lines map[string]int

// of returns the line of a path, of the nearest thing around it where it has none itself.
func (l lines) of(path string) int {
	for path != "" {
		if n, ok := l[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// memberKeys are the keys of an entry of members.
var memberKeys = []string{"name", "weight", "port_priority"}

// check holds the tree of a file against the table of settings: which keys there are, and the types of their values.
// The line is that of the fault.
func check(root *node) (l lines, line int, f *settings.Fault) {
	if root.kind != mapNode {
		return nil, root.line, &settings.Fault{What: "want a map of keys, got " + root.String(),
			Why: "a file of settings is made of lines such as KEY: VALUE",
			Fix: "write  mode: active-backup"}
	}
	l = lines{}
	f = l.keys("", root, settings.Keys(), func(at, key string, n *node) *settings.Fault {
		return l.value(at, n, settings.Find(key))
	})
	if f == nil {
		return l, 0, nil
	}
	return l, l.of(f.Key), f
}

// keys checks the keys of a map, and their values by value.
func (l lines) keys(path string, n *node, known []string,
	value func(at, key string, n *node) *settings.Fault) *settings.Fault {
	seen := map[string]string{}
	for _, p := range n.pairs {
		at := p.key
		if path != "" {
			at = path + "." + p.key
		}
		folded := strings.ToLower(p.key)
		was, twice := seen[folded]
		first := l[strings.TrimSuffix(at, p.key)+was]
		seen[folded], l[at] = p.key, p.line
		switch {
		case twice:
			return &settings.Fault{Key: at, What: "given twice",
				Why: fmt.Sprintf("%s stands on line %d already", was, first), Fix: "delete one of the two"}
		case !contains(known, p.key):
			return unknownKey(at, p.key, known)
		}
		if p.val.line > 0 && p.val.kind != listNode && p.val.kind != mapNode {
			l[at] = p.val.line
		}
		if f := value(at, p.key, p.val); f != nil {
			return f
		}
	}
	return nil
}

// unknownKey is the fault of a key that is none of known.
func unknownKey(at, key string, known []string) *settings.Fault {
	f := &settings.Fault{Key: at, What: "unknown key", Why: "there is no such setting",
		Fix: "nicteam help config lists the keys"}
	if at != key {
		f.Fix = "use " + settings.OneOf(known)
	}
	switch c := settings.Canonical(key); {
	case c != key && contains(known, c):
		f.Why += fmt.Sprintf("; it is called %q", c)
	case c == "active" && at == key:
		f.Why += " in a file; the active member is chosen while the team runs: nicteam set TEAM active=NIC"
	default:
		f.Why += nearest.Hint(key, known)
	}
	return f
}

// value checks the type of a value.
func (l lines) value(at string, n *node, s *settings.Setting) *settings.Fault {
	if n.kind == nullNode {
		return &settings.Fault{Key: at, What: "has no value", Why: fmt.Sprintf("want %v", s.Type),
			Fix: "give it a value, or delete the line"}
	}
	ok := false
	switch s.Type {
	case settings.Text, settings.NIC:
		ok = n.kind == textNode
	case settings.Word:
		ok = n.kind == textNode || n.kind == wholeNode
	case settings.Whole:
		ok = n.kind == wholeNode
	case settings.Number:
		ok = n.kind == wholeNode || n.kind == numberNode
	case settings.OnOff, settings.AutoOnOff:
		_, word := settings.ParseOnOff(n.text)
		word = word || s.Type == settings.AutoOnOff && strings.EqualFold(n.text, "auto")
		ok = n.kind == boolNode || n.kind == textNode && word
	case settings.Duration:
		ok = n.kind == textNode
		if n.kind == wholeNode || n.kind == numberNode {
			if ok = n.text == "0"; !ok {
				return settings.BareNumber(at, n.text)
			}
		}
	case settings.List:
		ok = n.kind == textNode || n.kind == listNode
		for i, e := range n.items {
			if f := l.item(fmt.Sprintf("%s[%d]", at, i), e, false); f != nil {
				return f
			}
		}
	case settings.NICs:
		ok = n.kind == listNode
		for i, e := range n.items {
			if f := l.item(fmt.Sprintf("%s[%d]", at, i), e, true); f != nil {
				return f
			}
		}
	}
	if !ok {
		return mistyped(at, n, s.Type)
	}
	return nil
}

// item checks an entry of a list: text, or a member.
func (l lines) item(at string, n *node, member bool) *settings.Fault {
	l[at] = n.line
	switch {
	case n.kind == textNode:
		return nil
	case n.kind != mapNode || !member:
		return mistyped(at, n, settings.Text)
	}
	f := l.keys(at, n, memberKeys, func(at, key string, n *node) *settings.Fault {
		s := settings.Find(key)
		if s == nil { // name
			s = &settings.Setting{}
		}
		return l.value(at, n, s)
	})
	if _, named := l[at+".name"]; f == nil && !named {
		f = &settings.Fault{Key: at, What: "has no name", Why: "a member is a NIC's name and, if wanted, its weight",
			Fix: "add  name: NIC"}
	}
	return f
}

func mistyped(at string, n *node, want settings.Type) *settings.Fault {
	f := settings.Want(want, n.String())
	f.Key = at
	if want == settings.Text && (n.kind == wholeNode || n.kind == numberNode || n.kind == boolNode) {
		f.Fix = fmt.Sprintf("put it in quotes: %q", n.text)
	}
	return f
}
