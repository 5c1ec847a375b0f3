// SPDX-License-Identifier: MIT

package vm

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CopyFile copies a file's content and permissions; links on both sides are followed.
func CopyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

// CopyTree copies a directory, if it exists.
func CopyTree(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return nil
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return CopyFile(path, filepath.Join(to, strings.TrimPrefix(path, from)))
	})
}
