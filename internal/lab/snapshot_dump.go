// SPDX-License-Identifier: MIT

package lab

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// object describes how one kind of rtnetlink object becomes a line: a function for its header, and its attributes by
// number, so that unknown attributes are compared too.
type object struct {
	what     string
	get      int
	answer   uint16
	request  nl.NetlinkRequestData
	headSize int
	head     func(t *snapshotter, b []byte) (line string, wanted bool)
	name     map[uint16]string
	show     map[uint16]func(t *snapshotter, b []byte) string
	skip     []uint16
}

func showIP(_ *snapshotter, b []byte) string     { return address(b) }
func showNumber(_ *snapshotter, b []byte) string { return fmt.Sprint(number(b)) }
func showText(_ *snapshotter, b []byte) string   { return text(b) }
func showDevice(t *snapshotter, b []byte) string { return t.name(uint32(number(b))) }

var objects = []object{
	{
		what: "address", get: unix.RTM_GETADDR, answer: unix.RTM_NEWADDR, request: nl.NewIfAddrmsg(unix.AF_UNSPEC),
		headSize: unix.SizeofIfAddrmsg,
		head: func(t *snapshotter, b []byte) (string, bool) {
			return fmt.Sprintf("%s family %d /%d scope %d", t.name(uint32(number(b[4:8]))), b[0], b[1], b[3]), true
		},
		name: map[uint16]string{unix.IFA_ADDRESS: "address", unix.IFA_LOCAL: "local", unix.IFA_LABEL: "label",
			unix.IFA_BROADCAST: "broadcast", unix.IFA_FLAGS: "flags", unix.IFA_CACHEINFO: "lifetime",
			unix.IFA_RT_PRIORITY: "metric", 11: "proto"},
		show: map[uint16]func(*snapshotter, []byte) string{
			unix.IFA_ADDRESS: showIP, unix.IFA_LOCAL: showIP, unix.IFA_BROADCAST: showIP, unix.IFA_LABEL: showText,
			unix.IFA_RT_PRIORITY: showNumber,
			unix.IFA_FLAGS:       func(_ *snapshotter, b []byte) string { return fmt.Sprintf("%#x", number(b)) },
			unix.IFA_CACHEINFO: func(_ *snapshotter, b []byte) string {
				// A remaining lifetime changes by itself; whether it is finite does not.
				return "preferred " + lifetime(b[0:4]) + " valid " + lifetime(b[4:8])
			},
		},
	},
	{
		what: "route", get: unix.RTM_GETROUTE, answer: unix.RTM_NEWROUTE, request: &nl.RtMsg{},
		headSize: unix.SizeofRtMsg,
		head: func(_ *snapshotter, b []byte) (string, bool) {
			const cloned = 0x200 // a cache entry
			return fmt.Sprintf("family %d /%d from /%d tos %d proto %d scope %d type %d flags %#x", b[0], b[1],
				b[2], b[3], b[5], b[6], b[7], number(b[8:12])), number(b[8:12])&cloned == 0
		},
		name: map[uint16]string{unix.RTA_DST: "dst", unix.RTA_SRC: "from", unix.RTA_GATEWAY: "via",
			unix.RTA_PREFSRC: "src", unix.RTA_OIF: "dev", unix.RTA_PRIORITY: "metric", unix.RTA_TABLE: "table",
			unix.RTA_METRICS: "metrics", unix.RTA_MULTIPATH: "nexthops", unix.RTA_PREF: "pref"},
		show: map[uint16]func(*snapshotter, []byte) string{unix.RTA_DST: showIP, unix.RTA_SRC: showIP,
			unix.RTA_GATEWAY: showIP, unix.RTA_PREFSRC: showIP, unix.RTA_OIF: showDevice, unix.RTA_PRIORITY: showNumber,
			unix.RTA_TABLE: showNumber},
		skip: []uint16{unix.RTA_CACHEINFO, unix.RTA_EXPIRES},
	},
	{
		what: "rule", get: unix.RTM_GETRULE, answer: unix.RTM_NEWRULE, request: nl.NewIfInfomsg(unix.AF_UNSPEC),
		headSize: unix.SizeofRtMsg,
		head: func(_ *snapshotter, b []byte) (string, bool) {
			return fmt.Sprintf("family %d to /%d from /%d tos %d action %d flags %#x", b[0], b[1], b[2], b[3],
				b[7], number(b[8:12])), true
		},
		name: map[uint16]string{1: "to", 2: "from", 3: "iif", 6: "priority", 10: "fwmark", 15: "table", 17: "oif"},
		show: map[uint16]func(*snapshotter, []byte) string{1: showIP, 2: showIP, 3: showText, 6: showNumber,
			15: showNumber, 17: showText},
	},
	{
		what: "neighbour", get: unix.RTM_GETNEIGH, answer: unix.RTM_NEWNEIGH, request: &neighbourRequest{},
		headSize: unix.SizeofNdMsg,
		head: func(t *snapshotter, b []byte) (string, bool) {
			state := number(b[8:10])
			return fmt.Sprintf("%s family %d state %#x flags %#x", t.name(uint32(number(b[4:8]))), b[0], state, b[10]),
				state == unix.NUD_PERMANENT
		},
		name: map[uint16]string{unix.NDA_DST: "dst", unix.NDA_LLADDR: "lladdr"},
		show: map[uint16]func(*snapshotter, []byte) string{unix.NDA_DST: showIP},
		skip: []uint16{unix.NDA_CACHEINFO, unix.NDA_PROBES},
	},
	{
		what: "proxy", get: unix.RTM_GETNEIGH, answer: unix.RTM_NEWNEIGH,
		request: &neighbourRequest{flags: neighbourProxy}, headSize: unix.SizeofNdMsg,
		head: func(t *snapshotter, b []byte) (string, bool) {
			return fmt.Sprintf("%s family %d", t.name(uint32(number(b[4:8]))), b[0]), b[10]&neighbourProxy != 0
		},
		name: map[uint16]string{unix.NDA_DST: "dst"},
		show: map[uint16]func(*snapshotter, []byte) string{unix.NDA_DST: showIP},
	},
	{
		what: "qdisc", get: unix.RTM_GETQDISC, answer: unix.RTM_NEWQDISC, request: &nl.TcMsg{},
		headSize: nl.SizeofTcMsg,
		head:     tcHead, name: tcNames, show: tcShow, skip: tcSkip,
	},
}

var (
	tcNames = map[uint16]string{nl.TCA_KIND: "kind", nl.TCA_OPTIONS: "options"}
	tcShow  = map[uint16]func(*snapshotter, []byte) string{nl.TCA_KIND: showText}
	tcSkip  = []uint16{nl.TCA_STATS, nl.TCA_STATS2, nl.TCA_XSTATS, nl.TCA_RATE}
)

func tcHead(t *snapshotter, b []byte) (string, bool) {
	return fmt.Sprintf("%s handle %#x parent %#x info %#x", t.name(uint32(number(b[4:8]))), number(b[8:12]),
		number(b[12:16]), number(b[16:20])), true
}

func lifetime(b []byte) string {
	if number(b) == 1<<32-1 {
		return "forever"
	}
	return "limited"
}

const neighbourProxy = 1 << 3 // NTF_PROXY

// neighbourRequest is a struct ndmsg that is empty but for flags.
type neighbourRequest struct{ flags byte }

func (*neighbourRequest) Len() int { return unix.SizeofNdMsg }
func (r *neighbourRequest) Serialize() []byte {
	b := make([]byte, unix.SizeofNdMsg)
	b[10] = r.flags
	return b
}

func (t *snapshotter) dumps() error {
	var errs []error
	for _, o := range objects {
		if err := t.dump(o); err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", o.what, err))
		}
	}
	return errors.Join(errs...)
}

func (t *snapshotter) dump(o object) error {
	msgs, err := dump(o.get, o.request, o.answer)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if len(m) < o.headSize {
			return fmt.Errorf("answer of %d octets", len(m))
		}
		head, wanted := o.head(t, m)
		if !wanted {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[o.headSize:])
		if err != nil {
			return err
		}
		line := []string{o.what, head}
		for _, a := range attrs {
			kind := a.Attr.Type &^ unix.NLA_F_NESTED
			if slices.Contains(o.skip, kind) {
				continue
			}
			name := o.name[kind]
			if name == "" {
				name = fmt.Sprintf("attribute %d:", kind)
			}
			value := hex.EncodeToString(a.Value)
			if show := o.show[kind]; show != nil {
				value = show(t, a.Value)
			}
			line = append(line, name+" "+value)
		}
		t.add("%s", strings.Join(line, " "))
	}
	return nil
}

func (t *snapshotter) filters(index, parent uint32) error {
	o := object{
		what: "filter", get: unix.RTM_GETTFILTER, answer: unix.RTM_NEWTFILTER, headSize: nl.SizeofTcMsg,
		request: &nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(index), Parent: parent},
		head:    tcHead, name: tcNames, show: tcShow, skip: tcSkip,
	}
	// Errors for a parent that a device does not have differ between kernels.
	if err := t.dump(o); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) &&
		!errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("list filters of %s: %w", t.name(index), err)
	}
	return nil
}
