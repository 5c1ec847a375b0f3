package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonReader makes nodes of JSON tokens; lines are counted from the decoder's offset.
type jsonReader struct {
	src []byte
	dec *json.Decoder
}

func readJSON(b []byte) (*node, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, &syntax{line: 1, msg: "not JSON: the file is empty"}
	}
	r := &jsonReader{b, json.NewDecoder(bytes.NewReader(b))}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &syntax{line: r.line(), msg: "a second document begins here; a file has one"}
	}
	return n, nil
}

// line is that of the last token read.
func (r *jsonReader) line() int { return r.lineAt(r.dec.InputOffset()) }

func (r *jsonReader) lineAt(offset int64) int {
	return 1 + bytes.Count(r.src[:min(int(offset), len(r.src))], []byte{'\n'})
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	var bad *json.SyntaxError
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &bad):
		return nil, &syntax{line: r.lineAt(bad.Offset), msg: "not JSON: " + bad.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &syntax{line: r.lineAt(int64(len(r.src))), msg: "not JSON: the file ends too early"}
	default:
		return nil, &syntax{line: r.line(), msg: "not JSON: " + err.Error()}
	}
}

func (r *jsonReader) value(depth int) (*node, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.line()}
	switch v := t.(type) {
	case nil:
		n.kind = nullNode
	case string:
		n.kind, n.text = textNode, v
	case bool:
		n.kind, n.text = boolNode, fmt.Sprint(v)
	case json.Number:
		n.kind, n.text = wholeNode, v.String()
		if strings.ContainsAny(n.text, ".eE") {
			n.kind = numberNode
		}
	case json.Delim:
		if depth > maxDepth {
			return nil, &syntax{line: n.line, msg: "nested too deep"}
		}
		err = r.inside(n, v, depth)
	}
	return n, err
}

func (r *jsonReader) inside(n *node, open json.Delim, depth int) error {
	n.kind = listNode
	if open == '{' {
		n.kind = mapNode
	}
	for r.dec.More() {
		var key string
		line := 0
		if n.kind == mapNode {
			t, err := r.token()
			if err != nil {
				return err
			}
			key, _ = t.(string)
			line = r.line()
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if n.kind == mapNode {
			n.pairs = append(n.pairs, pair{key, line, v})
		} else {
			n.items = append(n.items, v)
		}
	}
	_, err := r.token() // the closing one
	return err
}
