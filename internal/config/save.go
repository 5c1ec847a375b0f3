package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"nicteam/internal/settings"
)

// Unfinished is the end of the name of a file that Save has not finished. It is always the same, so that whoever removes
// the file, or saves it again, finds what a process left that was killed meanwhile.
const Unfinished = ".new"

// Save writes a configuration as YAML that Load reads back to the same, 0640. The file is
// there whole or as it was before: it is written beside, synced and renamed. Only one process may save a file at a time.
func Save(path string, c settings.Config) (err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Settings of the team %s; see: nicteam help config\n", c.Team)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(written(c)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	_ = os.Remove(path + Unfinished)
	f, err := os.OpenFile(path+Unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(b.Bytes())
	if err == nil {
		err = f.Chmod(0o640)
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
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
