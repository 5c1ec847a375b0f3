// SPDX-License-Identifier: MIT

package frame

import "testing"

func TestIsProbe(t *testing.T) {
	ether := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for _, c := range []struct {
		name string
		b    string
		want bool
	}{
		{"probe", "\x88\xb5nicteam\x01", true},
		{"magic alone", "\x88\xb5nicteam", true},
		{"tagged", "\x81\x00\x00\x07\x88\xb5nicteam\x01", true},
		{"cut short", "\x88\xb5nictea", false},
		{"empty", "\x88\xb5", false},
		{"of others", "\x88\xb5something else", false},
		{"another ethertype", "\x88\xb6nicteam\x01", false},
		{"no room for a tag", "\x81\x00\x00", false},
	} {
		b := append(ether[:12:12], c.b...)
		var h Headers
		if !Parse(b, &h) {
			t.Fatal(c.name)
		}
		if got := IsProbe(&h, b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
