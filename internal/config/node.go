// SPDX-License-Identifier: MIT

package config

import "fmt"

// node is a value of a file with the line it stands on, the same for all formats.
type node struct {
	line  int
	kind  nodeKind
	text  string // scalars: as written, for messages
	items []*node
	pairs []pair
}

type pair struct {
	key  string
	line int
	val  *node
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	textNode
	wholeNode
	numberNode // with a fraction
	boolNode
	listNode
	mapNode
	otherNode // dates and what else a format has
)

func (n *node) String() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case textNode:
		return fmt.Sprintf("the text %q", n.text)
	case wholeNode, numberNode:
		return "the number " + n.text
	case boolNode:
		return n.text
	case listNode:
		return "a list"
	case mapNode:
		return "a map"
	default:
		return n.text
	}
}

// syntax is a syntax error of a file.
type syntax struct {
	line int
	msg  string
	fix  string // "": correct that line
}

func (s *syntax) Error() string { return s.msg }
