package rtnl

import "testing"

func FuzzObject(f *testing.F) {
	f.Add(make([]byte, 8), 8)
	f.Add([]byte{2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 10, 9, 0, 1, 5, 0, 2, 0, 1}, 8)
	f.Fuzz(func(t *testing.T, b []byte, head int) {
		if head != AddressHeaderLen && head != HeaderLen {
			return
		}
		o, err := ParseObject(b, head)
		if err != nil {
			return
		}
		again, err := ParseObject(o.Serialize(), head)
		if err != nil || !again.Equal(o) {
			t.Fatalf("%v, %+v is not %+v", err, again, o)
		}
		if head == HeaderLen { // a neighbour, or a rule
			_, _ = known(o), proxyFor(o, 4)
			_ = removedFor(o, o)
		}
	})
}
