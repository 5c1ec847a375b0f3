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
	// MaxSize is how large a log grows before it becomes the old one; there is one old one.
	MaxSize   = 1 << 20
	lookEvery = 30 * time.Second
)

// Old is the name of the log before this one.
func Old(path string) string { return path + ".1" }

// File is the log that the standard streams of this process are.
type File struct {
	path string
	open func() (*os.File, error)
	max  int64
}

// Keep returns the log at path, nil when stderr is not that file: then somebody else keeps the log. open makes it anew.
func Keep(path string, open func() (*os.File, error)) *File {
	f := &File{path, open, MaxSize}
	if !f.holds() {
		return nil
	}
	return f
}

// Follow keeps the log small until ctx ends, and opens it anew after a value of reopen, for who has moved it away.
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
			log.Warn("log not kept", "err", err)
		}
	}
}

// rotate makes a log that is too large the old one.
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

// reopen has the standard streams be the file at path, which is made where there is none.
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
