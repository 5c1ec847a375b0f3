// SPDX-License-Identifier: MIT

package logs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxSize is the size at which a log is rotated; one old log is kept.
	MaxSize   = 1 << 20
	lookEvery = 30 * time.Second
)

// Old is the name of the rotated log.
func Old(path string) string { return path + ".1" }

// File is the log file to which stdout and stderr of this process are redirected.
type File struct {
	path string
	open func() (*os.File, error)
	max  int64
}

// Keep returns the log at path, nil if stderr is not that file: then somebody else, as a service manager, keeps the
// log. open opens path, or creates it.
func Keep(path string, open func() (*os.File, error)) *File {
	f := &File{path, open, MaxSize}
	if !f.holds() {
		return nil
	}
	return f
}

// Follow rotates the log until ctx ends, and reopens it on a signal, after logrotate or the like has moved it.
func (f *File) Follow(ctx context.Context, reopen <-chan os.Signal, log *slog.Logger) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			err = f.rotate()
		case <-reopen:
			err = f.reopen()
		}
		if err != nil {
			log.Warn("log not rotated", "err", err)
		}
	}
}

// rotate renames a log that is too large and opens a new one.
func (f *File) rotate() error {
	var st unix.Stat_t
	if err := unix.Fstat(unix.Stderr, &st); err != nil || st.Size < f.max || !f.holds() {
		return err
	}
	if err := os.Rename(f.path, Old(f.path)); err != nil {
		return err
	}
	return f.reopen()
}

// RotateLarge renames the log at path if it is too large, for who opens it next.
func RotateLarge(path string) {
	if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() && st.Size() >= MaxSize {
		_ = os.Rename(path, Old(path))
	}
}

// reopen redirects stdout and stderr to the file at path.
func (f *File) reopen() error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for _, fd := range []int{unix.Stdout, unix.Stderr} {
		if err := unix.Dup3(int(file.Fd()), fd, 0); err != nil {
			return fmt.Errorf("redirect stream %d: %w", fd, err)
		}
	}
	return nil
}

// holds reports whether stderr is the file at path.
func (f *File) holds() bool {
	var a, b unix.Stat_t
	return unix.Fstat(unix.Stderr, &a) == nil && unix.Lstat(f.path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
