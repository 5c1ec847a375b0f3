// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nicteam/internal/api"
)

// maxFile bounds a file; 64 members with all settings are 4 KiB.
const maxFile = 256 << 10

// file reads the file of o, checks it and merges it.
func (l *loader) file(o Options) *api.Problem {
	if o.Path == "" {
		return nil
	}
	if o.In != nil {
		b, err := readAll(o.In)
		if err != nil {
			return fileProblem(o.Path, err)
		}
		return l.document(b, readYAML, "yaml")
	}
	read, kind := readerFor(o.Path)
	if read == nil {
		return &api.Problem{Kind: api.Usage, What: "read " + o.Path, Why: "its name does not say its format",
			Fix: "name it .yaml, .toml or .json"}
	}
	b, err := readFile(o.Path)
	if err != nil {
		return fileProblem(o.Path, err)
	}
	return l.document(b, read, kind)
}

// document checks what a file has, and merges it.
func (l *loader) document(b []byte, read func([]byte) (*node, error), kind string) *api.Problem {
	var root *node
	b, err := plain(b)
	if err == nil {
		root, err = read(b)
	}
	var bad *syntax
	if errors.As(err, &bad) {
		fix := bad.fix
		if fix == "" {
			fix = fmt.Sprintf("correct line %d; examples: nicteam help config", bad.line)
		}
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s:%d: cannot be read", l.path, bad.line), Why: bad.msg,
			Fix: fix, Err: err}
	}
	lines, line, f := check(root)
	if f != nil {
		return problem(f, fmt.Sprintf("%s:%d", l.path, line))
	}
	l.lines = lines
	l.v.SetConfigType(kind)
	if err := l.v.ReadConfig(bytes.NewReader(b)); err != nil {
		return &api.Problem{Kind: api.Usage, What: "read " + l.path, Why: err.Error(),
			Fix: "examples: nicteam help config", Err: err}
	}
	return nil
}

// formats are those of files, by the ends of their names.
var formats = []struct {
	extension, kind string
	read            func([]byte) (*node, error)
}{{"yaml", "yaml", readYAML}, {"yml", "yaml", readYAML}, {"toml", "toml", readTOML}, {"json", "json", readJSON}}

// Extensions are how the names of files with settings end.
func Extensions() (list []string) {
	for _, f := range formats {
		list = append(list, f.extension)
	}
	return list
}

func readerFor(path string) (func([]byte) (*node, error), string) {
	for _, f := range formats {
		if strings.EqualFold(filepath.Ext(path), "."+f.extension) {
			return f.read, f.kind
		}
	}
	return nil, ""
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f)
}

func readAll(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it is larger than %d KiB", maxFile>>10)
	}
	return b, err
}

func fileProblem(path string, err error) *api.Problem {
	p := &api.Problem{Kind: api.Usage, What: "read " + path, Why: err.Error(),
		Fix: "name a file that exists and can be read", Err: err}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		p.Why = pe.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) {
		p.Kind = api.NotPermitted
	}
	return p
}
