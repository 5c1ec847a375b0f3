// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlReader makes nodes of go-toml's syntax tree, which has positions. The decoder has checked the same bytes before.
type tomlReader struct {
	src  []byte
	p    unstable.Parser
	root *node
	here *node // the table that key-values belong to
	line int   // of the last key
}

func readTOML(b []byte) (*node, error) {
	var any map[string]any
	if err := toml.Unmarshal(b, &any); err != nil {
		s := &syntax{line: 1, msg: "not TOML: " + err.Error()}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			s.line, _ = bad.Position()
		}
		return nil, s
	}
	r := &tomlReader{src: b, root: &node{line: 1, kind: mapNode}}
	r.here = r.root
	r.p.Reset(b)
	for r.p.NextExpression() {
		e := r.p.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			r.keyValue(r.here, e, 0)
		case unstable.Table, unstable.ArrayTable:
			r.here = r.table(e)
		}
	}
	if err := r.p.Error(); err != nil {
		return nil, &syntax{line: r.line, msg: "not TOML: " + err.Error()}
	}
	return r.root, nil
}

// table returns the table that a [header] or [[header]] opens, and adds it.
func (r *tomlReader) table(e *unstable.Node) *node {
	at := r.root
	for it := e.Key(); it.Next(); {
		last := it.IsLast()
		name := r.key(it.Node())
		val := child(at, name)
		switch {
		case val == nil && last && e.Kind == unstable.ArrayTable:
			val = &node{line: r.line, kind: listNode}
			at.pairs = append(at.pairs, pair{name, r.line, val})
		case val == nil:
			val = &node{line: r.line, kind: mapNode}
			at.pairs = append(at.pairs, pair{name, r.line, val})
		}
		switch {
		case last && e.Kind == unstable.ArrayTable:
			entry := &node{line: r.line, kind: mapNode}
			val.items = append(val.items, entry)
			val = entry
		case val.kind == listNode && len(val.items) > 0:
			val = val.items[len(val.items)-1]
		}
		at = val
	}
	return at
}

func (r *tomlReader) keyValue(at *node, e *unstable.Node, depth int) {
	for it := e.Key(); it.Next(); {
		name := r.key(it.Node())
		if it.IsLast() {
			at.pairs = append(at.pairs, pair{name, r.line, r.value(e.Value(), depth)})
			return
		}
		val := child(at, name)
		if val == nil {
			val = &node{line: r.line, kind: mapNode}
			at.pairs = append(at.pairs, pair{name, r.line, val})
		}
		at = val
	}
}

func (r *tomlReader) key(k *unstable.Node) string {
	if k.Raw.Length > 0 {
		r.line = 1 + bytes.Count(r.src[:k.Raw.Offset], []byte{'\n'})
	}
	return string(k.Data)
}

func (r *tomlReader) value(v *unstable.Node, depth int) *node {
	n := &node{line: r.line, text: string(v.Data), kind: otherNode}
	if v.Raw.Length > 0 {
		n.line = 1 + bytes.Count(r.src[:v.Raw.Offset], []byte{'\n'})
	}
	if depth > maxDepth {
		return n
	}
	switch v.Kind {
	case unstable.String:
		n.kind = textNode
	case unstable.Integer:
		n.kind = wholeNode
	case unstable.Float:
		n.kind = numberNode
	case unstable.Bool:
		n.kind = boolNode
	case unstable.Array:
		n.kind = listNode
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				n.items = append(n.items, r.value(it.Node(), depth+1))
			}
		}
	case unstable.InlineTable:
		n.kind = mapNode
		for it := v.Children(); it.Next(); {
			r.keyValue(n, it.Node(), depth+1)
		}
	}
	return n
}

func child(at *node, name string) *node {
	for _, p := range at.pairs {
		if p.key == name {
			return p.val
		}
	}
	return nil
}
