// SPDX-License-Identifier: MIT

package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serial are the rooms, with the rooms in them, in which nothing starts a goroutine, tests included. `make test` runs
// their tests without the race detector, which could find nothing.
var serial = []string{"modes", "monitor/chart", "scripts/release"}

// abreast run with it nevertheless.
var abreast = []string{"modes/lacp/search_test.go"}

// unraced begins a test file of another room whose tests start no goroutine either.
const unraced = "\n//go:build !race\n"

func TestSerialRoomsStartNoGoroutine(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(source), unraced) {
			return err
		}
		return noGoroutine(t, path)
	})
	if err != nil {
		t.Error(err)
	}
	for _, room := range serial {
		err := filepath.WalkDir("../"+room, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || contains(abreast, strings.TrimPrefix(path, "../")) {
				return err
			}
			files++
			return noGoroutine(t, path)
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < len(serial) {
		t.Errorf("%d files only", files)
	}
}

// noGoroutine reports where a file starts goroutines.
func noGoroutine(t *testing.T, path string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, at := range goroutines(file) {
		t.Errorf("%v: starts a goroutine", set.Position(at))
	}
	return nil
}

// goroutines returns where a file starts goroutines: by go, or by one of the methods of libraries that do.
func goroutines(file *ast.File) (at []token.Pos) {
	starters := map[string]bool{"Go": true, "Parallel": true, "RunParallel": true, "AfterFunc": true}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			at = append(at, n.Pos())
		case *ast.SelectorExpr:
			if starters[n.Sel.Name] {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}

func TestGoroutines(t *testing.T) {
	source := "package a\nfunc f(w W) { go f(w); w.Go(f); w.Parallel(); time.AfterFunc(1, f); w.Stop() }"
	file, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(goroutines(file)); n != 4 {
		t.Errorf("found %d", n)
	}
}
