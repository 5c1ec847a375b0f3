// SPDX-License-Identifier: MIT

// Package atomicfile writes files that are there whole, or as they were before, whatever ends the process or the host.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// unfinished ends the name of a file that Write has not finished. It is always the same, so that whoever removes the
// file, or writes it again, finds what a process that was killed left.
const unfinished = ".new"

// Write replaces the file at path by one of that mode, whatever the umask. Only one process may write a file at a time.
func Write(path string, mode fs.FileMode, write func(io.Writer) error) error {
	temp := path + unfinished
	_ = os.Remove(temp)
	return WriteVia(temp, path, mode, write, func(f *os.File) error { return f.Chmod(mode) })
}

// Replace is Write of a file that must survive this process, not the host: nothing waits for the disk.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	temp := path + unfinished
	_ = os.Remove(temp)
	return replace(temp, path, mode, write, func(f *os.File) error { return f.Chmod(mode) })
}

// Remove removes the file at path, and what a Write that was killed left of it.
func Remove(path string) {
	_ = os.Remove(path)
	_ = os.Remove(path + unfinished)
}

// WriteVia replaces the file at path by way of temp, in the same directory, which must not exist. mode is less the
// umask; finish, if not nil, is called before the file takes its place.
func WriteVia(temp, path string, mode fs.FileMode, write func(io.Writer) error, finish func(*os.File) error) error {
	err := replace(temp, path, mode, write, func(f *os.File) error {
		if finish != nil {
			if err := finish(f); err != nil {
				return err
			}
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return SyncDir(path)
}

// replace is WriteVia without a sync.
func replace(temp, path string, mode fs.FileMode, write func(io.Writer) error, finish func(*os.File) error) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = finish(f)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SyncDir makes the entry of path in its directory durable (fsync(2): a file's own sync does not), where the file
// system can.
func SyncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
