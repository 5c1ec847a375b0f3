package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

// maxDepth bounds the nesting of a file; the deepest that means something is 3.
const maxDepth = 16

// lines remembers on which line each setting of a file stands, by its path.
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

// check holds a file's tree against the table of settings.
func check(root *node) (lines, *fault) {
	l := lines{}
	if root.kind != mapNode {
		return l, &fault{line: root.line, what: "a file of settings has to be a map of keys", why: "this one is " + root.String(), fix: "write lines such as  mode: active-backup"}
	}
	return l, l.table("", root, rows)
}

func (l lines) table(path string, n *node, table []setting) *fault {
	seen := map[string]string{}
	for _, p := range n.pairs {
		at := join(path, p.key)
		if was, twice := seen[strings.ToLower(p.key)]; twice {
			first := l.of(join(path, was))
			return &fault{line: p.line, key: at, what: "given twice", why: fmt.Sprintf("%s stands on line %d already", was, first), fix: "delete one of the two"}
		}
		seen[strings.ToLower(p.key)] = p.key
		l[at] = p.line
		s := find(table, p.key)
		if s == nil {
			f := unknown(path, p.key, table)
			f.line = p.line
			return f
		}
		if p.val.line > 0 && p.val.line != p.line && p.val.kind != listNode && p.val.kind != mapNode {
			l[at] = p.val.line
		}
		if f := l.value(at, p.val, s); f != nil {
			return f
		}
	}
	if len(table) == len(memberSettings) && seen["name"] == "" && path != "" {
		return &fault{key: path, what: "has no name", why: "a member is a NIC's name and, if wanted, its weight", fix: "add  name: NIC"}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func unknown(path, key string, table []setting) *fault {
	list := keys(table)
	f := &fault{what: fmt.Sprintf("unknown key %q", key), fix: "allowed are " + oneOf(list)}
	f.why = "there is no such setting"
	if path != "" {
		f.what += " in " + path
	}
	if c := canonical(key); c != key && find(table, c) != nil {
		f.why += fmt.Sprintf("; it is called %q", c)
	} else if canonical(key) == "active" {
		f.why += " in a file; the active member is chosen while the team runs: nicteam set TEAM active=NIC"
	} else {
		f.why += nearest.Hint(key, list)
	}
	return f
}

func (l lines) value(at string, n *node, s *setting) *fault {
	if n.kind == nullNode {
		return &fault{key: at, what: "has no value", why: "wanted is " + s.shape.String(), fix: "give it a value or delete the line"}
	}
	ok := true
	switch s.shape {
	case text:
		ok = n.kind == textNode
	case word:
		ok = n.kind == textNode || n.kind == wholeNode
	case whole:
		ok = n.kind == wholeNode
		if _, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, 32); ok && err != nil {
			return &fault{key: at, what: n.text + " is out of range", why: "it is not a number of 32 bits", fix: "write a smaller number"}
		}
	case number:
		ok = n.kind == wholeNode || n.kind == numberNode
	case toggle:
		_, isWord := toggleWords[strings.ToLower(n.text)]
		ok = n.kind == boolNode || n.kind == textNode && isWord
	case tri:
		_, isWord := triWords[strings.ToLower(n.text)]
		ok = n.kind == boolNode || n.kind == textNode && isWord
	case span:
		if n.kind == wholeNode && n.text == "0" {
			return nil
		}
		if n.kind == wholeNode || n.kind == numberNode {
			return bareNumber(at, n.text)
		}
		if ok = n.kind == textNode; ok {
			_, f := parseSpan(at, n.text)
			return f
		}
	case texts:
		for i, it := range n.items {
			p := fmt.Sprintf("%s[%d]", at, i)
			l[p] = it.line
			if it.kind != textNode {
				return mistyped(p, it, text)
			}
		}
		ok = n.kind == textNode || n.kind == listNode
	case nics:
		for i, it := range n.items {
			p := fmt.Sprintf("%s[%d]", at, i)
			l[p] = it.line
			switch it.kind {
			case textNode:
			case mapNode:
				if f := l.table(p, it, memberSettings); f != nil {
					return f
				}
			default:
				return mistyped(p, it, text)
			}
		}
		ok = n.kind == listNode
	}
	if !ok {
		return mistyped(at, n, s.shape)
	}
	return nil
}

func mistyped(at string, n *node, want shape) *fault {
	f := &fault{key: at, what: fmt.Sprintf("wanted is %s, this is %s", want, n), why: "values are taken as they are written, never converted", fix: "write " + want.String()}
	if want == text && (n.kind == wholeNode || n.kind == numberNode || n.kind == boolNode) {
		f.fix = fmt.Sprintf("put it in quotes: %q", n.text)
	}
	return f
}

func bareNumber(key, value string) *fault {
	return &fault{key: key, what: fmt.Sprintf("%s has no unit", value), why: "a bare number could be any unit", fix: fmt.Sprintf("write its unit, such as %sms or %ss", value, value)}
}

// parseSpan reads a duration with its unit; 0 is the same in all of them.
func parseSpan(key, value string) (time.Duration, *fault) {
	if value == "0" {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return 0, bareNumber(key, value)
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, &fault{key: key, what: fmt.Sprintf("%q is not a duration", value), why: "a duration is a number and its unit: ns, us, ms, s, m or h", fix: "write it as 100ms, 2s or 1m30s"}
	}
	return d, nil
}

var toggleWords = map[string]bool{"on": true, "off": false, "true": true, "false": false, "yes": true, "no": false}

var triWords = map[string]settings.Offload{"auto": settings.OffloadAuto, "on": settings.OffloadOn, "off": settings.OffloadOff, "true": settings.OffloadOn, "false": settings.OffloadOff}
