// SPDX-License-Identifier: MIT

package vm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readCPIO reads an archive as the kernel does: each entry is its mode in octal, and its content.
func readCPIO(t *testing.T, b []byte) map[string]string {
	t.Helper()
	at := 0
	next := func(n int) []byte {
		if at+n > len(b) {
			t.Fatalf("%d octets wanted at %d of %d", n, at, len(b))
		}
		at += n
		return b[at-n : at]
	}
	entries := map[string]string{}
	for {
		h := next(110)
		if string(h[:6]) != "070701" {
			t.Fatalf("no header at %d: %q", at-110, h)
		}
		field := func(i int) int {
			v, err := strconv.ParseUint(string(h[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		name := next(field(11))
		next(-at & 3)
		content := next(field(6))
		next(-at & 3)
		if name[len(name)-1] != 0 {
			t.Fatalf("name %q does not end", name)
		}
		name = name[:len(name)-1]
		if string(name) == "TRAILER!!!" {
			return entries
		}
		entries[string(name)] = fmt.Sprintf("%o %s", field(1), content)
	}
}

func TestCPIO(t *testing.T) {
	root := t.TempDir()
	want := map[string]string{"dir": "40755 ", "dir/sub": "40755 ", "link": "120777 dir/b"}
	for name, text := range map[string]string{"a": "", "dir/b": "1", "dir/bb": "12", "dir/bbb": "123",
		"dir/bbbb": "1234", "dir/sub/a long name": "12345"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		want[name] = "100640 " + text
	}
	if err := os.Symlink("dir/b", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteCPIO(&b, root); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, readCPIO(t, b.Bytes())); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestModuleName(t *testing.T) {
	for path, want := range map[string]string{
		"kernel/lib/libcrc32c.ko": "libcrc32c", "kernel/net/8021q/8021q.ko.xz": "8021q",
		"kernel/crypto/sha256-generic.ko.zst": "sha256_generic", "libcrc32c": "libcrc32c",
	} {
		if got := moduleName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
