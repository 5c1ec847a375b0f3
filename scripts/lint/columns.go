// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxColumns = 120
	tabColumns = 4

	longRawString = 80
)

// columns excepts what cannot be wrapped: generated files, directives, URLs, raw strings that are long or of several
// lines, and tables, links and code blocks of Markdown.
func columns(files []string) (complaints []string, _ error) {
	for _, f := range files {
		if !slices.Contains([]string{".go", ".c", ".h", ".sh", ".md", ".service", ""}, filepath.Ext(f)) {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		if generated(src) || bytes.IndexByte(src, 0) >= 0 {
			continue
		}
		var free map[int]bool
		switch filepath.Ext(f) {
		case ".go":
			free = rawStringLines(src)
		case ".md":
			free = verbatimLines(src)
		}
		n := 0
		for line := range strings.Lines(string(src)) {
			n++
			if w := width(line); w > maxColumns && !free[n] && !unbreakable(line) {
				complaints = append(complaints, fmt.Sprintf("%s:%d: %d columns, at most %d", f, n, w, maxColumns))
			}
		}
	}
	return complaints, nil
}

// width counts columns; a tab is four wherever it stands, as in .editorconfig.
func width(line string) int {
	line = strings.TrimRight(line, "\r\n")
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}

func unbreakable(line string) bool {
	text := strings.TrimSpace(line)
	return strings.HasPrefix(text, "//go:") || strings.Contains(text, "://") && len(strings.Fields(text)) <= 3
}

// rawStringLines returns the lines of raw strings that have several, and those of long ones: they cannot be broken.
func rawStringLines(src []byte) map[int]bool {
	lines := map[int]bool{}
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return lines
		}
		rows := strings.Count(lit, "\n")
		if tok == token.STRING && (rows > 0 || lit[0] == '`' && len(lit) > longRawString) {
			first := file.Line(pos)
			for i := first; i <= first+rows; i++ {
				lines[i] = true
			}
		}
	}
}

// verbatimLines returns the lines of Markdown that are rows of tables, images or links alone, or code blocks.
func verbatimLines(src []byte) map[int]bool {
	lines := map[int]bool{}
	fenced, n := false, 0
	for line := range strings.Lines(string(src)) {
		n++
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "```") {
			fenced = !fenced
		}
		lines[n] = fenced || strings.HasPrefix(text, "|") || strings.HasPrefix(text, "<") ||
			strings.HasPrefix(text, "![")
	}
	return lines
}
