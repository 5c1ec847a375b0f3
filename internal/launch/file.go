package launch

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"nicteam/internal/config"
)

// unfinished is the end of the name of a file that is being written. It is always the same, for only the process of the team
// writes it: one that was killed leaves no more than one.
const unfinished = config.Unfinished

// RemoveFile removes a file, and what of it a process left that was killed while it wrote it.
func RemoveFile(path string) {
	_ = os.Remove(path)
	_ = os.Remove(path + unfinished)
}

// ReplaceFile writes a file, 0640, that is there whole or as it was before.
func ReplaceFile(path string, write func(io.Writer) error) error {
	f, err := OpenOwned(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Chmod(0o640) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
