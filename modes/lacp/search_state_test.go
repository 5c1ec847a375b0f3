// SPDX-License-Identifier: MIT

package lacp

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"reflect"
	"time"
	"unsafe"

	"nicteam/internal/limit"
)

// What the searches look at are states, not histories: two worlds of which everything that can still make a difference
// is equal are one. So a System is written down whole, by reflection: a field that is added is part of the state until
// forgotten says that it makes no difference. Times are written as what lies between them and now, and those so long
// past that nothing is measured from them any more as equally long past.

// forgotten are fields that nothing is decided by, but for what is told in words.
var forgotten = map[string]bool{
	"Counters":     true, // only ever grow
	"System.now":   true, // set by each call before it is looked at
	"port.silence": true,
	"port.notes":   true,
}

// measured is for how long something is measured from a time, where that is not longPast.
var measured = map[string]time.Duration{
	"System.began":      shortTimeout,
	"port.changed":      fastRetryTime,
	"port.said":         time.Second,
	"port.looped":       time.Minute,
	"port.ownHeard":     time.Minute,
	"port.warned":       time.Minute,
	"port.contestNoted": time.Minute,
}

// longPast is longer than all that is measured from a moment in the past.
const longPast = longTimeout

// writer appends what is at a place in memory.
type writer func(b []byte, p unsafe.Pointer, now time.Time) []byte

var stateSeed = maphash.MakeSeed()

// digest is what a state is known by.
func digest(b []byte) uint64 { return maphash.Bytes(stateSeed, b) }

var (
	timeType   = reflect.TypeFor[time.Time]()
	bucketType = reflect.TypeFor[limit.Bucket]()
)

var writeSystem = writerOf(reflect.TypeFor[System](), longPast)

// writerOf makes a writer of values in which nothing is measured for longer than past. What it cannot write, such as a
// map, it refuses, since it would be missing from the state.
func writerOf(t reflect.Type, past time.Duration) writer {
	if forgotten[t.Name()] {
		return func(b []byte, _ unsafe.Pointer, _ time.Time) []byte { return b }
	}
	switch {
	case t == timeType:
		return func(b []byte, p unsafe.Pointer, now time.Time) []byte {
			at := *(*time.Time)(p)
			if at.IsZero() {
				return append(b, 0)
			}
			return binary.AppendVarint(append(b, 1), int64(max(at.Sub(now), -past)))
		}
	case t == bucketType:
		return writeBucket
	case t.Kind() == reflect.Struct:
		return structWriter(t, past)
	case t.Kind() == reflect.Array:
		return arrayWriter(t, past)
	case t.Kind() == reflect.Slice:
		return sliceWriter(t, past)
	case t.Kind() == reflect.Pointer:
		return pointerWriter(t, past)
	case t.Kind() == reflect.String:
		return func(b []byte, p unsafe.Pointer, _ time.Time) []byte {
			s := *(*string)(p)
			return append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	case plain(t):
		n := t.Size()
		return func(b []byte, p unsafe.Pointer, _ time.Time) []byte {
			return append(b, unsafe.Slice((*byte)(p), n)...)
		}
	}
	panic(fmt.Sprintf("a %v cannot be part of a state", t))
}

// writeBucket writes what is missing in a bucket now, in ms.
func writeBucket(b []byte, p unsafe.Pointer, now time.Time) []byte {
	return binary.AppendVarint(b, max(0, (*limit.Bucket)(p).Full().Sub(now)).Milliseconds())
}

func structWriter(t reflect.Type, past time.Duration) writer {
	type member struct {
		offset, size uintptr // a size means octets that are written as they are
		write        writer
	}
	var members []member
	for f := range t.Fields() {
		name := t.Name() + "." + f.Name
		if forgotten[name] {
			continue
		}
		within := past
		if m, ok := measured[name]; ok {
			within = m
		}
		if !plain(f.Type) {
			members = append(members, member{offset: f.Offset, write: writerOf(f.Type, within)})
			continue
		}
		if n := len(members); n > 0 && members[n-1].size > 0 && members[n-1].offset+members[n-1].size == f.Offset {
			members[n-1].size += f.Type.Size()
			continue
		}
		members = append(members, member{offset: f.Offset, size: f.Type.Size()})
	}
	return func(b []byte, p unsafe.Pointer, now time.Time) []byte {
		for i := range members {
			m := &members[i]
			if m.size > 0 {
				b = append(b, unsafe.Slice((*byte)(unsafe.Add(p, m.offset)), m.size)...)
			} else {
				b = m.write(b, unsafe.Add(p, m.offset), now)
			}
		}
		return b
	}
}

// plain reports whether a value is nothing but its octets.
func plain(t reflect.Type) bool { return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Float64 }

func arrayWriter(t reflect.Type, past time.Duration) writer {
	write, size, n := writerOf(t.Elem(), past), t.Elem().Size(), t.Len()
	return func(b []byte, p unsafe.Pointer, now time.Time) []byte {
		for i := range n {
			b = write(b, unsafe.Add(p, uintptr(i)*size), now)
		}
		return b
	}
}

func sliceWriter(t reflect.Type, past time.Duration) writer {
	write, size := writerOf(t.Elem(), past), t.Elem().Size()
	return func(b []byte, p unsafe.Pointer, now time.Time) []byte {
		s := *(*[]byte)(p) // of whatever kind, the header is the same
		b = binary.AppendUvarint(b, uint64(len(s)))
		for i := range len(s) {
			b = write(b, unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), uintptr(i)*size), now)
		}
		return b
	}
}

func pointerWriter(t reflect.Type, past time.Duration) writer {
	write := writerOf(t.Elem(), past)
	return func(b []byte, p unsafe.Pointer, now time.Time) []byte {
		if q := *(*unsafe.Pointer)(p); q != nil {
			return write(append(b, 1), q, now)
		}
		return append(b, 0)
	}
}
