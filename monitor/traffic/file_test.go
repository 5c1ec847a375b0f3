// SPDX-License-Identifier: MIT

//go:build !race

package traffic

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"
)

func TestReadRefuses(t *testing.T) {
	h, _ := busy(3, 100, true)
	good := written(h)
	if _, err := Read(good); err != nil {
		t.Fatal(err)
	}
	change := func(i int) []byte {
		b := append([]byte{}, good...)
		b[i] ^= 1
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrForeign},
		{"something else", []byte("{\"schema\":\"nicteam.history/v1\"}"), ErrForeign},
		{"another version", change(len(magic)), ErrForeign},
		{"other protocols", change(len(magic) + 1), ErrForeign},
		{"the head alone", good[:len(magic)+2], ErrDamaged},
		{"the last byte is missing", good[:len(good)-1], ErrDamaged},
		{"half", good[:len(good)/2], ErrDamaged},
		{"a bit", change(len(good) / 2), ErrDamaged},
		{"the sum", change(len(good) - 1), ErrDamaged},
		{"more than there should be", append(append([]byte{}, good...), 0), ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Read(tt.b)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			h.Add(begin, 0, nil)
			h.Add(begin.Add(time.Second), time.Second, nil)
			if w := all(h, ""); known(w) != time.Second {
				t.Errorf("not empty: %v known", known(w))
			}
		})
	}
}

// What has a right sum and cannot be is refused too.
func TestReadRefusesWhatCannotBe(t *testing.T) {
	h, _ := busy(1, 3, true)
	head := written(h)[:len(magic)+2]
	for _, tt := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"nothing", []byte{0, 0, 0}, true},
		{"one idle second", []byte{0, 0, 1, 5, 3, 0, 10, 0}, true},
		{"a member", []byte{1, 1, 'a', 0, 1, 5, 8, 0, 10, 1, 0, 1, 2, 120, 0}, true},
		{"a member without a name", []byte{1, 1, 'a', 0, 1, 5, 8, 0, 10, 1, 1, 1, 2, 120, 0}, false},
		{"a member twice", []byte{1, 1, 'a', 0, 1, 5, 13, 0, 10, 2, 0, 1, 2, 120, 0, 0, 1, 2, 120, 0}, false},
		{"more members than there can be", []byte{1, 1, 'a', 0, 1, 5, 9, 0, 10, 1, 200, 2, 1, 2, 120, 0}, false},
		{"an eighth protocol", []byte{1, 1, 'a', 0, 1, 5, 8, 0, 10, 1, 0, 128, 2, 120, 0}, false},
		{"a second of no length", []byte{0, 0, 1, 5, 3, 0, 0, 0}, false},
		{"a block without records", []byte{0, 0, 1, 5, 0}, false},
		{"a block that begins before its first record", []byte{0, 0, 1, 5, 3, 1, 10, 0}, false},
		{"a block before the end of the one before", []byte{0, 0, 2, 5, 3, 0, 10, 0, 14, 3, 0, 10, 0}, false},
		{"two blocks", []byte{0, 0, 2, 5, 3, 0, 10, 0, 15, 3, 0, 10, 0}, true},
		{"a name twice", []byte{2, 1, 'a', 1, 'a', 0, 0}, false},
		{"a block longer than all", []byte{0, 0, 1, 5, 4, 0, 10, 0}, false},
		{"something behind it", []byte{0, 0, 0, 0}, false},
	} {
		b := append(append([]byte{}, head...), tt.b...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		if _, err := Read(b); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Whatever bytes stand between a valid head and checksum, nothing panics, and what is read is in order, can be
// asked, goes on and is written as it can be read.
func FuzzRead(f *testing.F) {
	h, _ := busy(2, 25, false)
	good := written(h)
	f.Add(good[len(magic)+2 : len(good)-crc32.Size])
	f.Add([]byte{1, 4, 'e', 't', 'h', '1', 1, 5, 7, 0, 10, 1, 0, 1, 0, 9, 200, 1, 0})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(append([]byte{}, good[:len(magic)+2]...), b...)
		whole = binary.LittleEndian.AppendUint32(whole, crc32.Checksum(whole, castagnoli))
		h, err := Read(whole)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || h.Size() != 0 {
				t.Fatalf("%v, %d bytes", err, h.Size())
			}
			return
		}
		q := Query{From: time.UnixMilli(0), To: time.UnixMilli(20_000), Step: time.Second}
		h.Snapshot().Query(q)
		h.Snapshot().Query(Query{From: time.UnixMilli(0), To: time.UnixMilli(1 << 44), Step: 200_000 * time.Hour,
			Member: "eth1"})
		for _, blocks := range [][]block{h.fine.blocks, h.coarse.blocks} {
			end := int64(0)
			for _, b := range blocks {
				if b.start < end || b.end <= b.start || b.records < 1 || b.records > blockLen {
					t.Fatalf("block from %d to %d of %d records after %d", b.start, b.end, b.records, end)
				}
				end = b.end
			}
		}
		m := newMeter("eth1")
		now := begin
		for range 200 {
			h.Add(now, now.Sub(begin), m.members)
			now = now.Add(time.Second)
		}
		if _, err := Read(written(h)); err != nil {
			t.Fatal(err)
		}
	})
}
