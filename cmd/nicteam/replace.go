package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replace puts b into a file in one step: there is the old one or the new one, never a part. A link is
// followed, a file keeps its mode, and what is not a file (a pipe, a terminal) is written to as it is.
func replace(path string, b []byte) error {
	mode, kept := fs.FileMode(0o666), false // less the umask
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !st.Mode().IsRegular():
		return through(path, b)
	default:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // one that may not be written to is not replaced either
		if err != nil {
			return err
		}
		_ = f.Close()
		mode, kept = st.Mode().Perm(), true
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && kept {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

// through writes to what is there.
func through(path string, b []byte) error {
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
