// SPDX-License-Identifier: MIT

package labtest

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelBefore reports whether the running kernel is older than a release, such as 6, 6.
func KernelBefore(t testing.TB, major, minor int) bool {
	t.Helper()
	var uts unix.Utsname
	Must(t, unix.Uname(&uts))
	var a, b int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &a, &b); err != nil {
		t.Fatalf("release of the kernel %q: %v", uts.Release, err)
	}
	return slices.Compare([]int{a, b}, []int{major, minor}) < 0
}
