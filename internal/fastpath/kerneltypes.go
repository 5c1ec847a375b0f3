// SPDX-License-Identifier: MIT

package fastpath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// kernelTypes are the types of a kernel, which it has with it as BTF (Documentation/bpf/btf.rst). Only what is asked
// for is decoded: of some hundred thousand types a few are needed, and to decode all takes longer than all else that
// loads the programs.
type kernelTypes struct {
	b       []byte // the types, one after the other
	strings []byte // names, each between zeros
	at      []int  // where each type is, by its id; 0 is void
}

// The kinds of types whose length is not always 12 octets, or that are looked for.
const (
	kindInt       = 1
	kindPointer   = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
	kinds         = 20
)

// A type begins with the offset of its name, its kind and number of parts, and its size or another type's id.
const (
	typeLen   = 12
	memberLen = 12 // of a struct or union: name, type, offset in bits
	enumLen   = 8  // an enumerator: name, value
)

var (
	errTypes   = errors.New("the kernel's types (BTF) are not understood")
	errNoTypes = errors.New("the kernel's types (BTF) are not found")
)

const typesFile = "/sys/kernel/btf/vmlinux"

// readTypes calls f with the types of the running kernel.
func readTypes(f func(*kernelTypes) error) error {
	file, err := os.Open(typesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoTypes
	}
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	// Some megabytes that the garbage collector need not know.
	b, err := unix.Mmap(-1, 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("make room for %s: %w", typesFile, err)
	}
	defer func() { _ = unix.Munmap(b) }()
	if _, err := io.ReadFull(file, b); err != nil {
		return fmt.Errorf("read %s: %w", typesFile, err)
	}
	k, err := parseTypes(b)
	if err != nil {
		return err
	}
	return f(k)
}

// parseTypes finds where each type is.
func parseTypes(b []byte) (*kernelTypes, error) {
	const headerLen, magic, version = 24, 0xeb9f, 1
	if len(b) < headerLen || binary.NativeEndian.Uint16(b) != magic || b[2] != version {
		return nil, errTypes
	}
	part := func(at int) []byte {
		from := uint64(word(b, 4)) + uint64(word(b, at))
		to := from + uint64(word(b, at+4))
		if to > uint64(len(b)) {
			return nil
		}
		return b[from:to]
	}
	k := &kernelTypes{b: part(8), strings: part(16), at: make([]int, 1, len(b)/40)}
	for at := 0; at < len(k.b); {
		if len(k.b)-at < typeLen {
			return nil, errTypes
		}
		k.at = append(k.at, at)
		parts := k.parts(at)
		at += typeLen
		switch k.kind(at - typeLen) {
		case kindInt, kindVar, kindDeclTag:
			at += 4
		case kindArray:
			at += 12
		case kindStruct, kindUnion:
			at += parts * memberLen
		case kindEnum, kindFuncProto:
			at += parts * enumLen
		case kindDatasec, kindEnum64:
			at += parts * 12
		case 0:
			return nil, errTypes
		}
		if k.kind(k.at[len(k.at)-1]) >= kinds || at > len(k.b) {
			return nil, errTypes // what follows is not known
		}
	}
	return k, nil
}

func word(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }

func (k *kernelTypes) kind(at int) int  { return int(word(k.b, at+4) >> 24 & 0x1f) }
func (k *kernelTypes) parts(at int) int { return int(word(k.b, at+4) & 0xffff) }

// isBitfields reports whether the members of a struct say how many bits they have.
func (k *kernelTypes) isBitfields(at int) bool { return word(k.b, at+4)>>31 != 0 }

// name returns the offset of a name, 0 if no type has it.
func (k *kernelTypes) name(s string) uint32 {
	return uint32(bytes.Index(k.strings, []byte("\x00"+s+"\x00")) + 1)
}

// find finds a type of some kind by its name, and returns its id and where it is.
func (k *kernelTypes) find(kind int, name string) (id uint32, at int, err error) {
	if wanted := k.name(name); wanted != 0 {
		for id, at := range k.at[1:] {
			if word(k.b, at) == wanted && k.kind(at) == kind {
				return uint32(id + 1), at, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("the kernel's types have no %s", name)
}

// enumerator returns the value of an enumerator, false if the enumeration does not have it.
func (k *kernelTypes) enumerator(at int, name string) (value uint32, found bool) {
	wanted := k.name(name)
	for i := range k.parts(at) {
		if e := at + typeLen + i*enumLen; wanted != 0 && word(k.b, e) == wanted {
			return word(k.b, e+4), true
		}
	}
	return 0, false
}

// mostNested is how deep structs and unions without a name are searched.
const mostNested = 8

// member returns the offset in bits and the type of a member of a struct or union, which may be one of a struct or
// union without a name in it.
func (k *kernelTypes) member(at int, name string) (bits, of uint32, found bool) {
	if wanted := k.name(name); wanted != 0 {
		return k.memberNamed(at, wanted, mostNested)
	}
	return 0, 0, false
}

func (k *kernelTypes) memberNamed(at int, name uint32, depth int) (bits, of uint32, found bool) {
	for i := range k.parts(at) {
		m := at + typeLen + i*memberLen
		bits := word(k.b, m+8)
		if k.isBitfields(at) {
			if bits>>24 != 0 {
				continue
			}
			bits &= 0xffffff
		}
		switch word(k.b, m) {
		case name:
			return bits, word(k.b, m+4), true
		case 0:
			inside, known := k.resolve(word(k.b, m+4))
			if !known || depth == 0 || k.kind(inside) != kindStruct && k.kind(inside) != kindUnion {
				continue
			}
			if in, of, found := k.memberNamed(inside, name, depth-1); found {
				return bits + in, of, true
			}
		}
	}
	return 0, 0, false
}

// resolve returns where a type is, or what it is another name of.
func (k *kernelTypes) resolve(id uint32) (at int, known bool) {
	for range 16 {
		if id == 0 || uint64(id) >= uint64(len(k.at)) {
			return 0, false
		}
		at = k.at[id]
		switch k.kind(at) {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = word(k.b, at+8)
		default:
			return at, true
		}
	}
	return 0, false
}

// isWord reports whether a type has 8 octets: a pointer or an integer.
func (k *kernelTypes) isWord(id uint32) bool {
	at, known := k.resolve(id)
	return known && (k.kind(at) == kindPointer && pointerLen == 8 || k.kind(at) == kindInt && word(k.b, at+8) == 8)
}

// pointerLen is the length of a pointer of this process, and of the kernel if that has no more.
const pointerLen = 4 << (^uintptr(0) >> 63)
