// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nicteam/internal/atomicfile"
)

// replace writes b to a file atomically. It follows a symbolic link and keeps the file's mode. Pipes, terminals and
// other special files are written in place.
func replace(path string, b []byte) error {
	mode := fs.FileMode(0o666) // less the umask
	var finish func(*os.File) error
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !st.Mode().IsRegular():
		return writeInPlace(path, b)
	default:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // do not replace a file that this user may not write
		if err != nil {
			return err
		}
		_ = f.Close()
		mode = st.Mode().Perm()
		finish = func(f *os.File) error { return f.Chmod(mode) }
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	return atomicfile.WriteVia(temp, path, mode, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, finish)
}

// writeInPlace writes to a special file.
func writeInPlace(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
