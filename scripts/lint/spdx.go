// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const spdxTag = "SPDX-License-Identifier: "

// spdx wants the tag in the first three lines: a script begins with its interpreter.
func spdx(files []string) (complaints []string, _ error) {
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		if !isSource(f, src) || generated(src) {
			continue
		}
		want := "MIT"
		if strings.Contains(f, "/bpf/") {
			want = "GPL-2.0-only OR MIT"
		}
		if got := licenceOf(src); got != want {
			complaints = append(complaints, fmt.Sprintf("%s: licence %q, want a line with %q", f, got, spdxTag+want))
		}
	}
	return complaints, nil
}

func isSource(name string, src []byte) bool {
	ext := filepath.Ext(name)
	return slices.Contains([]string{".go", ".c", ".h", ".sh", ".yml", ".service"}, ext) ||
		filepath.Base(name) == "Makefile" || bytes.HasPrefix(src, []byte("#!"))
}

func licenceOf(src []byte) string {
	for i, line := range bytes.SplitN(src, []byte("\n"), 4) {
		if _, id, ok := strings.Cut(string(line), spdxTag); ok && i < 3 {
			return strings.TrimSpace(strings.TrimSuffix(id, "*/"))
		}
	}
	return ""
}
