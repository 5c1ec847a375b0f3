// SPDX-License-Identifier: MIT

package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"nicteam/internal/api"
)

// Formats are those of files and directories.
var Formats = []string{"teamd", "netplan", "interfaces", "ifcfg", "keyfile"}

// maxFile bounds a file, maxFiles those of a directory.
const (
	maxFile  = 1 << 20
	maxFiles = 1000
)

// source is a text with its name.
type source struct {
	file string
	text []byte
}

// ReadFile reads the bonds and teams of a file or a directory. format is one of Formats; "": what it looks like.
func ReadFile(path, format string) ([]*Bond, string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, "", fileProblem(path, err)
	}
	files := []string{path}
	if st.IsDir() {
		if files, err = filesOf(path, format); err != nil {
			return nil, "", err
		}
	}
	var list []source
	for _, f := range files {
		text, err := readText(f)
		if err != nil {
			return nil, "", err
		}
		if format == "" {
			format = looksLike(f, text)
		}
		list = append(list, source{f, text})
	}
	if format == "" {
		return nil, "", &api.Problem{Kind: api.Usage, What: "import " + path,
			Why: "it is none of the formats: " + strings.Join(Formats, ", "),
			Fix: "say with --format which it is"}
	}
	s := &bonds{}
	read, ok := readers[format]
	if !ok {
		return nil, "", &api.Problem{Kind: api.Usage, What: "--format " + format, Why: "there is no such format",
			Fix: "use one of " + strings.Join(Formats, ", ")}
	}
	if err := read(s, list); err != nil {
		return nil, "", err
	}
	if len(s.list) == 0 {
		return nil, "", &api.Problem{Kind: api.Usage, What: "import " + path,
			Why: fmt.Sprintf("it has no bond and no team (read as %s)", format),
			Fix: "give the file that has it, or the directory of it"}
	}
	return s.list, format, nil
}

// readers are the formats.
var readers = map[string]func(*bonds, []source) error{
	"teamd": func(s *bonds, list []source) error {
		for _, f := range list {
			name := strings.TrimSuffix(filepath.Base(f.file), filepath.Ext(f.file))
			b, err := readTeamd(f.file, f.text, name)
			if err != nil {
				return err
			}
			s.list = append(s.list, b)
		}
		return nil
	},
	"netplan": func(s *bonds, list []source) error {
		for _, f := range list {
			if err := readNetplan(s, f.file, f.text); err != nil {
				return err
			}
		}
		for _, f := range list {
			if err := readNetplanLinks(s, f.file, f.text); err != nil {
				return err
			}
		}
		return nil
	},
	"interfaces": func(s *bonds, list []source) error {
		var all []stanza
		seen := map[string]bool{}
		for _, f := range list {
			seen[f.file] = true
		}
		for len(list) > 0 {
			f := list[0]
			list = list[1:]
			more, include := parseInterfaces(f.file, string(f.text))
			all = append(all, more...)
			for _, pattern := range include {
				for _, path := range included(filepath.Dir(f.file), pattern) {
					if seen[path] || len(seen) > maxFiles {
						continue
					}
					seen[path] = true
					text, err := readText(path)
					if err != nil {
						return err
					}
					list = append(list, source{path, text})
				}
			}
		}
		addInterfaces(s, all)
		return nil
	},
	"ifcfg": func(s *bonds, list []source) error {
		var files []*ifcfg
		for _, f := range withNeighbours(list, "ifcfg-*") {
			files = append(files, parseIfcfg(f.file, string(f.text)))
		}
		if err := addIfcfg(s, files); err != nil {
			return err
		}
		s.only(list)
		return nil
	},
	"keyfile": func(s *bonds, list []source) error {
		var files []*keyfile
		for _, f := range withNeighbours(list, "*.nmconnection") {
			k, err := parseKeyfile(f.file, string(f.text))
			if err != nil {
				return err
			}
			files = append(files, k)
		}
		if err := addKeyfiles(s, files); err != nil {
			return err
		}
		s.only(list)
		return nil
	},
}

// withNeighbours adds to one file the others of its directory: each link has its own, and the members of a bond are
// in theirs. Neighbours that cannot be read are left out.
func withNeighbours(list []source, pattern string) []source {
	if len(list) != 1 {
		return list
	}
	paths, _ := filepath.Glob(filepath.Join(filepath.Dir(list[0].file), pattern))
	for _, path := range paths {
		if filepath.Clean(path) == filepath.Clean(list[0].file) || !configName(filepath.Base(path)) {
			continue
		}
		if text, err := readText(path); err == nil {
			list = append(list, source{path, text})
		}
	}
	return list
}

// only leaves the bonds of the one file that was named, if it has some.
func (s *bonds) only(list []source) {
	if len(list) != 1 {
		return
	}
	var own []*Bond
	for _, b := range s.list {
		if b.At.File == list[0].file {
			own = append(own, b)
		}
	}
	s.list = own
}

// included are the files of a pattern of source, in order.
func included(dir, pattern string) []string {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(dir, pattern)
	}
	paths, _ := filepath.Glob(pattern)
	slices.Sort(paths)
	return slices.DeleteFunc(paths, func(p string) bool {
		st, err := os.Stat(p)
		return err != nil || !st.Mode().IsRegular() || !configName(filepath.Base(p))
	})
}

// configName reports whether a file is none of an editor or a package manager.
func configName(name string) bool {
	for _, end := range []string{"~", ".bak", ".orig", ".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old", ".dpkg-new",
		".dpkg-dist", ".swp"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	return !strings.HasPrefix(name, ".")
}

// patterns are the files of a directory, by format.
var patterns = []struct{ format, pattern string }{
	{"ifcfg", "ifcfg-*"}, {"keyfile", "*.nmconnection"}, {"netplan", "*.yaml"}, {"interfaces", "interfaces"},
	{"teamd", "*.conf"},
}

// filesOf lists the files of a directory that are of a format, of the first that has some if none is given.
func filesOf(dir, format string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileProblem(dir, err)
	}
	for _, p := range patterns {
		if format != "" && format != p.format {
			continue
		}
		var list []string
		for _, e := range entries {
			if ok, _ := filepath.Match(p.pattern, e.Name()); ok && configName(e.Name()) && !e.IsDir() {
				list = append(list, filepath.Join(dir, e.Name()))
			}
		}
		switch {
		case len(list) > maxFiles:
			return nil, &api.Problem{Kind: api.Usage, What: "import " + dir,
				Why: fmt.Sprintf("it has %d files", len(list)), Fix: "give one of them"}
		case len(list) > 0:
			return list, nil
		}
	}
	return nil, &api.Problem{Kind: api.Usage, What: "import " + dir, Why: "it has no file that looks like a format",
		Fix: "give a file, with --format"}
}

var (
	interfacesLine = regexp.MustCompile(`(?m)^\s*(iface|auto|allow-\S+|source|source-directory)\s`)
	shellVariable  = regexp.MustCompile(`(?m)^\s*(export\s+)?[A-Z][A-Z0-9_]*=`)
	keyfileLine    = regexp.MustCompile(`(?m)^\s*\[connection\]`)
	netplanLine    = regexp.MustCompile(`(?m)^network:`)
)

// looksLike returns the format of a file, "" if it is none.
func looksLike(path string, text []byte) string {
	switch base := filepath.Base(path); {
	case strings.HasPrefix(base, "ifcfg-"):
		return "ifcfg"
	case strings.HasSuffix(base, ".nmconnection"):
		return "keyfile"
	}
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return "teamd"
	case keyfileLine.Match(text):
		return "keyfile"
	case netplanLine.Match(text):
		return "netplan"
	case interfacesLine.Match(text):
		return "interfaces"
	case shellVariable.Match(text):
		return "ifcfg"
	}
	return ""
}

func readText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fileProblem(path, err)
	case len(b) > maxFile:
		return nil, badSource(Place{path, 1}, fmt.Sprintf("it is larger than %d KiB", maxFile>>10))
	case bytes.IndexByte(b, 0) >= 0:
		return nil, badSource(Place{path, 1}, "it is no text")
	}
	return readable(b), nil
}

// readable is a text without its byte order mark, and with ? for what is not UTF-8: comments may be of an old encoding.
func readable(text []byte) []byte {
	return bytes.ToValidUTF8(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), []byte("?"))
}

func fileProblem(path string, err error) error {
	p := &api.Problem{Kind: api.Usage, What: "read " + path, Why: err.Error(),
		Fix: "name a file that exists and can be read, or a bond or team that runs", Err: err}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		p.Why = pe.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) {
		p.Kind, p.Fix = api.NotPermitted, "use sudo"
	}
	return p
}
