package nfnl

import "testing"

func FuzzXtable(f *testing.F) {
	f.Add(make([]byte, 300), false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		l := xtLayouts[0]
		if six {
			l = xtLayouts[1]
		}
		table := xtable{heads: map[int]string{0: "INPUT"}, blob: b, layout: l}
		table.effects(Iface{Name: "na"}, Incoming)
		table.effects(Iface{Name: "na"}, Outgoing)
	})
}
