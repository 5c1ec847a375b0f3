// SPDX-License-Identifier: MIT

package masquerade

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

// guard is an nftables table that drops packets of a connection between its deletion and its creation:
//
//	input             a reply: without translation it seems to be for the host, which would reset the connection
//	forward, output   a packet that would create the connection, perhaps with another port
//
// The senders repeat them. Packets of tracked connections pass. The table is owned by its socket (Linux 5.12) and
// vanishes with it.
type guard struct {
	nf    *nfnl.Conn
	table string
	has   map[byte]bool // families with a table
}

// Sets of one direction's tuples.
const (
	guardOriginals = "originals"
	guardReplies   = "replies"
)

// guardRegister is the first of nftables' 4-byte registers, where a tuple is put together.
const guardRegister = unix.NFT_REG32_00

func hasPorts(proto byte) bool {
	switch proto {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		return true
	}
	return false
}

func openGuard(table string) (*guard, error) {
	nf, err := nfnl.Open()
	if err != nil {
		return nil, err
	}
	return &guard{nf, table, map[byte]bool{}}, nil
}

func (g *guard) close() { g.nf.Close() }

// add guards connections.
func (g *guard) add(list []connection) error {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		var originals, replies []rtnl.Attribute
		for _, c := range list {
			if c.Family() != family || !hasPorts(c.orig.proto) {
				continue
			}
			originals = append(originals, guardElement(c.orig))
			replies = append(replies, guardElement(c.reply))
		}
		if originals == nil {
			continue
		}
		t := guardTable{family, g.table}
		var messages []nfnl.Message
		if !g.has[family] {
			messages = t.make()
		}
		messages = append(messages, t.elements(guardOriginals, originals), t.elements(guardReplies, replies))
		if err := g.nf.Transaction(messages); err != nil {
			return err
		}
		g.has[family] = true
	}
	return nil
}

// guardElement is a tuple as a set element.
func guardElement(t tuple) rtnl.Attribute {
	key := slices.Concat(t.src.AsSlice(), t.dst.AsSlice(), []byte{t.proto, 0, 0, 0}, t.srcPort, t.dstPort)
	return nest(unix.NFTA_LIST_ELEM, nest(unix.NFTA_SET_ELEM_KEY, rtnl.Attr(unix.NFTA_DATA_VALUE, key)))
}

const nftOwner = 2 // NFT_TABLE_F_OWNER

// guardTable is the table of one family. A table for both would make the kernel track the other family, too.
type guardTable struct {
	family byte
	name   string
}

// make returns the messages that create the table with chains and rules.
func (g guardTable) make() []nfnl.Message {
	list := []nfnl.Message{
		g.message(unix.NFT_MSG_NEWTABLE, text(unix.NFTA_TABLE_NAME, g.name), number(unix.NFTA_TABLE_FLAGS, nftOwner)),
		g.set(guardOriginals, 1), g.set(guardReplies, 2),
	}
	for _, c := range []struct {
		name string
		hook uint32
		set  string
	}{
		{"input", unix.NF_INET_LOCAL_IN, guardReplies},
		{"forward", unix.NF_INET_FORWARD, guardOriginals},
		{"output", unix.NF_INET_LOCAL_OUT, guardOriginals},
	} {
		list = append(list, g.chain(c.name, c.hook),
			g.rule(c.name, slices.Concat(untracked(), g.matches(c.set), []rtnl.Attribute{verdictDrop()})))
	}
	return list
}

func (g guardTable) elements(set string, of []rtnl.Attribute) nfnl.Message {
	return g.message(unix.NFT_MSG_NEWSETELEM, text(unix.NFTA_SET_ELEM_LIST_TABLE, g.name),
		text(unix.NFTA_SET_ELEM_LIST_SET, set),
		nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, of...))
}

// addressBytes returns offset and length of source and destination, which are adjacent in both headers.
func (g guardTable) addressBytes() (offset, length uint32) {
	if g.family == unix.AF_INET6 {
		return 8, 32
	}
	return 12, 8
}

func (g guardTable) message(kind uint16, attrs ...rtnl.Attribute) nfnl.Message {
	return nfnl.Message{Kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: unix.NLM_F_CREATE,
		Body: nfnl.NewBody(g.family, attrs...)}
}

func (g guardTable) set(name string, id uint32) nfnl.Message {
	_, length := g.addressBytes()
	return g.message(unix.NFT_MSG_NEWSET, text(unix.NFTA_SET_TABLE, g.name), text(unix.NFTA_SET_NAME, name),
		number(unix.NFTA_SET_ID, id),
		number(unix.NFTA_SET_FLAGS, 0), number(unix.NFTA_SET_KEY_TYPE, 0), number(unix.NFTA_SET_KEY_LEN, length+8))
}

func (g guardTable) chain(name string, hook uint32) nfnl.Message {
	return g.message(unix.NFT_MSG_NEWCHAIN, text(unix.NFTA_CHAIN_TABLE, g.name), text(unix.NFTA_CHAIN_NAME, name),
		text(unix.NFTA_CHAIN_TYPE, "filter"),
		nest(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, hook), number(unix.NFTA_HOOK_PRIORITY, 0)))
}

func (g guardTable) rule(chain string, expressions []rtnl.Attribute) nfnl.Message {
	return g.message(unix.NFT_MSG_NEWRULE, text(unix.NFTA_RULE_TABLE, g.name), text(unix.NFTA_RULE_CHAIN, chain),
		nest(unix.NFTA_RULE_EXPRESSIONS, expressions...))
}

// matches returns the expressions that look the packet's tuple up in a set.
func (g guardTable) matches(set string) []rtnl.Attribute {
	offset, length := g.addressBytes()
	proto := guardRegister + length/4
	return []rtnl.Attribute{
		load(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, length, guardRegister),
		expression("meta", number(unix.NFTA_META_KEY, unix.NFT_META_L4PROTO), number(unix.NFTA_META_DREG, proto)),
		load(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, proto+1),
		expression("lookup", text(unix.NFTA_LOOKUP_SET, set), number(unix.NFTA_LOOKUP_SREG, guardRegister)),
	}
}

// untracked returns the expressions that match packets of no tracked connection.
func untracked() []rtnl.Attribute {
	const invalid, new = 1, 8 // ct state
	bits := func(v uint32) rtnl.Attribute {
		return rtnl.Attr(unix.NFTA_DATA_VALUE, binary.NativeEndian.AppendUint32(nil, v))
	}
	return []rtnl.Attribute{
		expression("ct", number(unix.NFTA_CT_KEY, unix.NFT_CT_STATE), number(unix.NFTA_CT_DREG, guardRegister)),
		expression("bitwise", number(unix.NFTA_BITWISE_SREG, guardRegister),
			number(unix.NFTA_BITWISE_DREG, guardRegister), number(unix.NFTA_BITWISE_LEN, 4),
			nest(unix.NFTA_BITWISE_MASK, bits(invalid|new)), nest(unix.NFTA_BITWISE_XOR, bits(0))),
		expression("cmp", number(unix.NFTA_CMP_SREG, guardRegister), number(unix.NFTA_CMP_OP, unix.NFT_CMP_NEQ),
			nest(unix.NFTA_CMP_DATA, bits(0))),
	}
}

func load(base, offset, length, register uint32) rtnl.Attribute {
	return expression("payload", number(unix.NFTA_PAYLOAD_DREG, register), number(unix.NFTA_PAYLOAD_BASE, base),
		number(unix.NFTA_PAYLOAD_OFFSET, offset), number(unix.NFTA_PAYLOAD_LEN, length))
}

func verdictDrop() rtnl.Attribute {
	const drop = 0 // NF_DROP
	return expression("immediate", number(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
		nest(unix.NFTA_IMMEDIATE_DATA, nest(unix.NFTA_DATA_VERDICT, number(unix.NFTA_VERDICT_CODE, drop))))
}

func expression(name string, attrs ...rtnl.Attribute) rtnl.Attribute {
	return nest(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, name), nest(unix.NFTA_EXPR_DATA, attrs...))
}

func text(kind uint16, s string) rtnl.Attribute { return rtnl.Attr(kind, rtnl.CString(s)) }

func number(kind uint16, v uint32) rtnl.Attribute {
	return rtnl.Attr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func nest(kind uint16, of ...rtnl.Attribute) rtnl.Attribute {
	return rtnl.Attr(kind|unix.NLA_F_NESTED, rtnl.AppendAttributes(nil, of))
}
