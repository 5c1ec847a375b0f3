// SPDX-License-Identifier: MIT

package units

import "testing"

func TestSI(t *testing.T) {
	for v, want := range map[float64]string{0: "0 B", 0.4: "0 B", 12.3: "12 B", 999: "999 B", 999.4: "999 B",
		999.5: "1 kB",
		1234:  "1.23 kB", 1500: "1.5 kB", 12345: "12.3 kB", 999_499: "999 kB", 999_500: "1 MB", 999_960: "1 MB",
		2.5e9:  "2.5 GB",
		94.1e6: "94.1 MB", 9.9949e6: "9.99 MB", 9.996e6: "10 MB", 1 << 63: "9.22 EB", 1e21: "1000 EB"} {
		if got := SI(v, "B"); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
