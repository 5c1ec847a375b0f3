// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const licencesFile = "docs/licences.md"

// A licence is known by phrases that its text has whatever the copyright line says. Only those that occur are here:
// whoever adds a library with another one decides whether its terms fit.
var known = []struct{ id, phrase, also string }{
	{"Apache-2.0", "Apache License", "Version 2.0"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms", "with the distribution. THIS SOFTWARE"},
	{"BSD-3-Clause", "Redistribution and use in source and binary forms", "endorse or promote products"},
	{"MIT", "Permission is hereby granted, free of charge", "THE SOFTWARE IS PROVIDED"},
}

func licences([]string) ([]string, error) {
	want, err := licenceTable()
	if err != nil {
		return nil, err
	}
	got, err := os.ReadFile(licencesFile)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return []string{licencesFile + ": not what the modules say; run: make generate"}, nil
	}
	return nil, nil
}

// licenceTable fails for a module without a known licence.
func licenceTable() ([]byte, error) {
	format := `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}`
	cmd := exec.Command("go", "list", "-deps", "-f", format, "./cmd/nicteam")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)

	var b bytes.Buffer
	b.WriteString("# Licences of what is in the binary\n\nWritten by `make generate`, checked by `make lint`.\n\n")
	b.WriteString("| module | version | licence |\n|---|---|---|\n")
	release, _, _ := strings.Cut(strings.TrimPrefix(runtime.Version(), "go"), " ")
	minor := strings.Join(strings.SplitN(release, ".", 3)[:2], ".")
	fmt.Fprintf(&b, "| Go standard library and runtime | %s | BSD-3-Clause |\n", minor)
	for _, m := range slices.Compact(modules) {
		path, rest, _ := strings.Cut(m, " ")
		version, dir, _ := strings.Cut(rest, " ")
		if path == "" {
			continue
		}
		ids, err := licencesIn(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", path, version, strings.Join(ids, " and "))
	}
	return b.Bytes(), nil
}

func licencesIn(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "LICEN[CS]E*"))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		flat := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range known {
			if strings.Contains(flat, l.phrase) && strings.Contains(flat, l.also) {
				ids = append(ids, l.id)
			}
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no known licence in %s", dir)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
