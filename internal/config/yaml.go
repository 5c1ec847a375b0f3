// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML reads exactly one document. Anchors, aliases and merge keys have no use in so small a
// file and are refused, which leaves no way to make a small file large.
func readYAML(b []byte) (*node, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return &node{line: 1, kind: mapNode}, nil
	} else if err != nil {
		return nil, yamlSyntax(err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, secondDocument(max(more.Line, 1))
	case !errors.Is(err, io.EOF):
		return nil, yamlSyntax(err)
	}
	if len(doc.Content) == 0 {
		return &node{line: 1, kind: mapNode}, nil
	}
	root, err := fromYAML(doc.Content[0], 0)
	if err == nil && root.kind == nullNode {
		root.kind = mapNode // comments only
	}
	return root, err
}

// readJSON reads exactly one document. JSON is YAML, which knows the lines; what YAML takes besides is refused before.
func readJSON(b []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var doc any
	err := d.Decode(&doc)
	end := int(d.InputOffset())
	var bad *json.SyntaxError
	switch {
	case err == nil && len(bytes.TrimSpace(b[end:])) > 0:
		first := bytes.IndexFunc(b[end:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) })
		return nil, secondDocument(lineOf(b, end+first))
	case err == nil:
		return readYAML(b)
	case errors.As(err, &bad):
		return nil, &syntax{line: lineOf(b, min(int(bad.Offset), len(b))), msg: "not JSON: " + bad.Error()}
	case len(bytes.TrimSpace(b)) == 0:
		return nil, &syntax{line: 1, msg: "not JSON: the file is empty"}
	default:
		return nil, &syntax{line: lineOf(b, len(b)), msg: "not JSON: the file ends too early"}
	}
}

func secondDocument(line int) error {
	return &syntax{line: line, msg: "a second document begins here; a file has one"}
}

func fromYAML(y *yaml.Node, depth int) (*node, error) {
	n := &node{line: y.Line, text: y.Value}
	if y.Anchor != "" || y.Kind == yaml.AliasNode {
		return nil, &syntax{line: y.Line, msg: "anchors and aliases are not supported"}
	}
	if depth > maxDepth {
		return nil, &syntax{line: y.Line, msg: "nested too deep"}
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
		for i := 0; i+1 < len(y.Content); i += 2 {
			k := y.Content[i]
			if k.Kind != yaml.ScalarNode || k.Anchor != "" || k.ShortTag() == "!!merge" {
				return nil, &syntax{line: k.Line, msg: "a key has to be a plain word"}
			}
			v, err := fromYAML(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.pairs = append(n.pairs, pair{k.Value, k.Line, v})
		}
	case yaml.SequenceNode:
		n.kind = listNode
		for _, c := range y.Content {
			v, err := fromYAML(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, v)
		}
	default:
		kinds := map[string]nodeKind{"!!null": nullNode, "!!str": textNode, "!!int": wholeNode, "!!float": numberNode,
			"!!bool": boolNode}
		var known bool
		if n.kind, known = kinds[y.ShortTag()]; !known {
			n.kind = otherNode
		}
	}
	return n, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\n\s*)?(?:line (\d+): )?`)

// yamlSyntax finds the line in an error of the yaml package, which has it only as text.
func yamlSyntax(err error) error {
	s := &syntax{line: 1, msg: err.Error()}
	if m := yamlLine.FindStringSubmatch(s.msg); m != nil {
		if n, e := strconv.Atoi(m[1]); e == nil && n > 0 {
			s.line = n
		}
		s.msg = fmt.Sprintf("not YAML: %s", strings.TrimSpace(s.msg[len(m[0]):]))
	}
	return s
}
