// SPDX-License-Identifier: MIT

package vm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLDD(t *testing.T) {
	const out = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 " +
		"(0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlost.so => not found\n"
	want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if d := cmp.Diff(want, parseLDD(out)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
