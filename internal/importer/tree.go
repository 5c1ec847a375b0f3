// SPDX-License-Identifier: MIT

package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a YAML or JSON value with its place.
type tree struct {
	at    Place
	kind  treeKind
	text  string // of a scalar
	items []*tree
	pairs []treePair
}

type treePair struct {
	key string
	at  Place
	val *tree
}

type treeKind uint8

const (
	scalarTree treeKind = iota
	listTree
	mapTree
)

// Bounds of a source: its depth, and its values with what aliases repeat.
const (
	maxDepth  = 32
	maxValues = 100_000
)

// readTree reads one YAML document; JSON is YAML.
func readTree(file string, text []byte) (*tree, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return &tree{at: Place{file, 1}, kind: mapTree}, nil
	} else if err != nil {
		return nil, badSource(Place{file, yamlErrorLine(err)}, err.Error())
	}
	r := treeReader{file: file}
	return r.read(doc.Content[0], 0)
}

type treeReader struct {
	file   string
	values int
}

func (r *treeReader) read(n *yaml.Node, depth int) (*tree, error) {
	t := &tree{at: Place{r.file, n.Line}, text: n.Value}
	if r.values++; depth > maxDepth || r.values > maxValues {
		return nil, badSource(t.at, "it is too large, or nested too deep")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.read(n.Alias, depth+1)
	case yaml.MappingNode:
		t.kind = mapTree
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			val, err := r.read(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			t.pairs = append(t.pairs, treePair{k.Value, Place{r.file, k.Line}, val})
		}
	case yaml.SequenceNode:
		t.kind = listTree
		for _, c := range n.Content {
			item, err := r.read(c, depth+1)
			if err != nil {
				return nil, err
			}
			t.items = append(t.items, item)
		}
	default:
		if n.ShortTag() == "!!null" {
			t.text = ""
		}
	}
	return t, nil
}

// get returns the value of a key, nil if there is none.
func (t *tree) get(key string) *tree {
	if t == nil {
		return nil
	}
	for _, p := range t.pairs {
		if p.key == key {
			return p.val
		}
	}
	return nil
}

// texts are the scalars of a list, or a scalar alone.
func (t *tree) texts() (list []string) {
	if t == nil {
		return nil
	}
	if t.kind == scalarTree && t.text != "" {
		return []string{t.text}
	}
	for _, item := range t.items {
		if item.kind == scalarTree {
			list = append(list, item.text)
		}
	}
	return list
}

// entry is a value as an entry; a list is text with commas.
func (t *tree) entry(key, typed string) Entry {
	e := Entry{Key: key, Typed: typed, Value: t.text, At: t.at}
	switch t.kind {
	case listTree:
		e.Value = strings.Join(t.texts(), ",")
	case mapTree:
		e.Value = fmt.Sprintf("(%d keys)", len(t.pairs))
	}
	return e
}

// entry is a pair as an entry, in the place of its key.
func (p treePair) entry(key, typed string) Entry {
	e := p.val.entry(key, typed)
	e.At = p.at
	return e
}

func lineOf(b []byte, offset int) int { return 1 + bytes.Count(b[:min(offset, len(b))], []byte{'\n'}) }

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlErrorLine finds the line in an error of the yaml package, which has it only as text.
func yamlErrorLine(err error) int {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, e := strconv.Atoi(m[1]); e == nil {
			return n
		}
	}
	return 1
}
