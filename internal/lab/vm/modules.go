// SPDX-License-Identifier: MIT

package vm

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A ModuleSet is the modules that a guest gets.
type ModuleSet struct {
	Files   []string // below the modules' directory; each after those that it depends on
	Missing []string // wanted, but neither a file nor built in: this kernel lacks it or names it differently
}

// FindModules collects the wanted modules of a kernel and their dependencies.
func FindModules(k Kernel, wanted []string) (ModuleSet, error) {
	var s ModuleSet
	builtin, err := os.ReadFile(filepath.Join(k.Modules, "modules.builtin"))
	if err != nil {
		return s, err
	}
	files := map[string]string{} // by name
	err = filepath.WalkDir(filepath.Join(k.Modules, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".ko") {
			return err
		}
		rel, err := filepath.Rel(k.Modules, path)
		files[moduleName(path)] = rel
		return err
	})
	if err != nil {
		return s, err
	}
	inKernel := map[string]bool{}
	for l := range strings.FieldsSeq(string(builtin)) {
		inKernel[moduleName(l)] = true
	}
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		file, ok := files[name]
		if seen[name] || inKernel[name] {
			return nil
		}
		seen[name] = true
		if !ok {
			s.Missing = append(s.Missing, name)
			return nil
		}
		// depmod does not see the whole tree: most of the package is not unpacked.
		out, err := exec.Command("/sbin/modinfo", "-F", "depends", filepath.Join(k.Modules, file)).Output()
		if err != nil {
			return fmt.Errorf("modinfo %s: %w", file, err)
		}
		for _, d := range strings.FieldsFunc(strings.TrimSpace(string(out)), func(r rune) bool { return r == ',' }) {
			if err := add(d); err != nil {
				return err
			}
		}
		s.Files = append(s.Files, file)
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return s, err
		}
	}
	return s, nil
}

// moduleName is the name of the module in a file: libcrc32c of kernel/lib/libcrc32c.ko.xz.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Write puts the modules below root, with the indexes that modprobe reads.
func (s ModuleSet) Write(k Kernel, root string) error {
	for _, f := range append([]string{"modules.builtin", "modules.order", "modules.builtin.modinfo"}, s.Files...) {
		b, err := os.ReadFile(filepath.Join(k.Modules, f))
		if os.IsNotExist(err) && !strings.HasPrefix(f, "kernel/") {
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(root, "lib/modules", k.Release, f)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	if out, err := exec.Command("/sbin/depmod", "-b", root, k.Release).CombinedOutput(); err != nil {
		return fmt.Errorf("depmod: %w\n%s", err, out)
	}
	return nil
}
