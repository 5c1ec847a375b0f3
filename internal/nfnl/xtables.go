// SPDX-License-Identifier: MIT

package nfnl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xtables are the rules of legacy iptables and ip6tables. A table exists once somebody has used it, and a query would
// load its module, so /proc lists which exist.
type xtables []xtable

type xtable struct {
	family string // "iptables" or "ip6tables"
	name   string
	heads  map[int]string // offsets of the built-in chains
	blob   []byte
	layout xtLayout
}

// xtLayout has the offsets of struct ipt_entry or ip6t_entry.
type xtLayout struct {
	level            int // getsockopt level
	in, out          int // interface names; masks are 32 bytes behind
	inverted         int // invflags
	next             int // next_offset; comefrom and counters follow
	size             int // of the entry
	targetOffset     int
	wantIn, wantOut  byte
	family, procName string
}

var xtLayouts = []xtLayout{
	{level: unix.SOL_IP, in: 16, out: 32, inverted: 83, targetOffset: 88, next: 90, size: 112, wantIn: 1, wantOut: 2,
		family: "iptables", procName: "ip_tables_names"},
	{level: unix.SOL_IPV6, in: 64, out: 80, inverted: 132, targetOffset: 140, next: 142, size: 168, wantIn: 1,
		wantOut: 2,
		family:  "ip6tables", procName: "ip6_tables_names"},
}

const (
	xtGetInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	xtGetEntries = 65
	xtNameSize   = 32
	xtHooks      = 5
	xtError      = "ERROR" // target at the head of a user-defined chain, and at the end
)

var xtHookNames = [xtHooks]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// ReadXtables reads all tables that can be read.
func ReadXtables() (list xtables) {
	for _, l := range xtLayouts {
		names, err := os.ReadFile("/proc/thread-self/net/" + l.procName)
		if err != nil {
			continue
		}
		for name := range strings.FieldsSeq(string(names)) {
			if t, err := readXtable(l, name); err == nil {
				list = append(list, t)
			}
		}
	}
	return list
}

// readXtable reads one table. struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size.
func readXtable(l xtLayout, name string) (xtable, error) {
	family := unix.AF_INET
	if l.level == unix.SOL_IPV6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return xtable{}, err
	}
	defer unix.Close(fd)
	info := make([]byte, xtNameSize+4+4*xtHooks*2+8)
	copy(info[:xtNameSize-1], name)
	if err := getsockopt(fd, l.level, xtGetInfo, info); err != nil {
		return xtable{}, err
	}
	t := xtable{family: l.family, name: name, heads: map[int]string{}, layout: l}
	valid := binary.NativeEndian.Uint32(info[xtNameSize:])
	for i := range xtHooks {
		if valid>>i&1 != 0 {
			t.heads[int(binary.NativeEndian.Uint32(info[xtNameSize+4+4*i:]))] = xtHookNames[i]
		}
	}
	size := binary.NativeEndian.Uint32(info[len(info)-4:])
	const head = xtNameSize + 8 // struct ipt_get_entries: name, size, padding
	entries := make([]byte, head+int(size))
	copy(entries[:xtNameSize-1], name)
	binary.NativeEndian.PutUint32(entries[xtNameSize:], size)
	if err := getsockopt(fd, l.level, xtGetEntries, entries); err != nil {
		return xtable{}, err
	}
	t.blob = entries[head:]
	return t, nil
}

func getsockopt(fd, level, name int, b []byte) error {
	size := uint32(len(b))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return nil
}

func (list xtables) Effects(f Iface, dir Direction) (all []Effect) {
	for _, t := range list {
		all = append(all, t.effects(f, dir)...)
	}
	return all
}

// effects returns the entries that name an interface in this direction and match iface.
func (t xtable) effects(f Iface, dir Direction) (list []Effect) {
	l := t.layout
	chain := ""
	at, inverted, flag := l.in, l.wantIn, "-i"
	if dir == Outgoing {
		at, inverted, flag = l.out, l.wantOut, "-o"
	}
	name := append([]byte(f.Name), make([]byte, max(0, nameSize-len(f.Name)))...)
	for offset := 0; offset+l.size <= len(t.blob); {
		e := t.blob[offset:]
		next := int(binary.NativeEndian.Uint16(e[l.next:]))
		target := int(binary.NativeEndian.Uint16(e[l.targetOffset:]))
		if next < l.size || next > len(e) || target < l.size || target+xtNameSize+2 > next {
			return list // unknown layout
		}
		e = e[:next]
		if head, ok := t.heads[offset]; ok {
			chain = head
		}
		// struct xt_entry_target: size, name, revision, data
		what := unix.ByteSliceToString(e[target+2 : target+2+29])
		if what == xtError && target+xtNameSize < next {
			chain = unix.ByteSliceToString(e[target+xtNameSize:])
			offset += next
			continue
		}
		offset += next
		want, mask := e[at:at+nameSize], e[at+2*nameSize:at+3*nameSize]
		if mask[0] == 0 {
			continue // any interface
		}
		matches := true
		for i := range nameSize {
			matches = matches && (name[i]^want[i])&mask[i] == 0
		}
		not := e[l.inverted]&inverted != 0
		if matches == not {
			continue
		}
		rest := bytes.Clone(e)
		clear(rest[at : at+nameSize])
		clear(rest[at+2*nameSize : at+3*nameSize])
		rest[l.inverted] &^= inverted
		clear(rest[l.next+2 : l.size]) // comefrom, counters
		list = append(list, Effect{fmt.Sprintf("%s -t %s, chain %s", t.family, t.name, chain), string(rest),
			xtText(flag, want, mask, not, what, e[target:]),
			!not && mask[len(f.Name)] != 0})
	}
	return list
}

func xtText(flag string, want, mask []byte, not bool, target string, data []byte) string {
	name := unix.ByteSliceToString(want)
	if len(name) < nameSize && mask[len(name)] == 0 {
		name += "+"
	}
	if not {
		flag = "! " + flag
	}
	if target == "" && len(data) >= xtNameSize+4 { // standard target: a verdict or a jump
		switch v := int32(binary.NativeEndian.Uint32(data[xtNameSize:])); v {
		case -1:
			target = "DROP"
		case -2:
			target = "ACCEPT"
		case -5:
			target = "RETURN"
		default:
			target = "a chain"
		}
	}
	return fmt.Sprintf("%s %s … -j %s", flag, name, target)
}
