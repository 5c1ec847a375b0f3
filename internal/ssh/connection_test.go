// SPDX-License-Identifier: MIT

package ssh

import "testing"

func TestParse(t *testing.T) {
	for _, text := range []string{"10.9.0.2:40000-10.9.0.1:22", "[2001:db8::2]:40000-[2001:db8::1]:22",
		"[fe80::2%br-lan]:40000-[fe80::1%br-lan]:22"} {
		c, err := Parse(text)
		if err != nil || c.String() != text || c.IsZero() {
			t.Errorf("Parse(%q) = %v, %v", text, c, err)
		}
	}
	if c, err := Parse(""); err != nil || !c.IsZero() || c.String() != "" {
		t.Errorf("Parse(\"\") = %v, %v", c, err)
	}
	for _, text := range []string{"-", "10.9.0.2:40000", "10.9.0.2:40000-10.9.0.1", "10.9.0.2:0-10.9.0.1:22",
		"10.9.0.2:40000-10.9.0.1:0", "10.9.0.2:40000 10.9.0.1:22"} {
		if c, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v", text, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("10.9.0.2:40000-10.9.0.1:22")
	f.Add("[fe80::2%br-lan]:40000-[fe80::1%br-lan]:22")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Errorf("%q is %v, and that is %v, %v", text, c, again, err)
		}
	})
}
