// SPDX-License-Identifier: MIT

package vm

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteCPIO writes the files below root as an initramfs: cpio "newc", described in the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst. Root owns everything.
func WriteCPIO(w io.Writer, root string) error {
	b := bufio.NewWriterSize(w, 1<<20)
	inode := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		inode++
		switch {
		case d.IsDir():
			return writeEntry(b, inode, name, 0o040000|uint32(info.Mode().Perm())|sticky(info), nil)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return writeEntry(b, inode, name, 0o120777, []byte(to))
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeEntry(b, inode, name, 0o100000|uint32(info.Mode().Perm()), content)
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", root, err)
	}
	if err := writeEntry(b, 0, "TRAILER!!!", 0, nil); err != nil {
		return err
	}
	return b.Flush()
}

func sticky(info fs.FileInfo) uint32 {
	if info.Mode()&fs.ModeSticky != 0 {
		return 0o1000
	}
	return 0
}

func writeEntry(w *bufio.Writer, inode int, name string, mode uint32, content []byte) error {
	links := 1
	fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	w.WriteString(name)
	// The name with its NUL is padded to a multiple of 4 from the header's start, and so is the content.
	pad(w, 1+(4-(110+len(name)+1)%4)%4)
	w.Write(content)
	return pad(w, (4-len(content)%4)%4)
}

func pad(w *bufio.Writer, n int) error {
	_, err := w.Write(make([]byte, n))
	return err
}
