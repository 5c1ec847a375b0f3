// SPDX-License-Identifier: MIT

package tchook

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"nicteam/internal/nfnl"
)

// nftTimeout bounds a call of nft.
const nftTimeout = 10 * time.Second

// nft runs a script of the nft program and returns what it printed.
func nft(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), nftTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(script)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n")
		return "", fmt.Errorf("nft: %w: %s", err, first)
	}
	return out.String(), nil
}

func nftChain(index int) string { return fmt.Sprintf("member_%d", index) }

// isolateNft isolates by a netdev chain, which outlives the process. It passes what bpf/isolate.c passes, but cannot
// know which socket waits for DHCP: all listeners receive the answer. If nft or the kernel lacks an expression, the
// chain drops everything.
func (h *Hooks) isolateNft(l Link, j Journal) error {
	if err := j.Isolating(ByNft, false); err != nil {
		return err
	}
	if err := h.conn.FaultPoint("add nft chain for " + l.Name); err != nil {
		return err
	}
	// An existing chain is flushed first.
	table, chain := nfnl.TeamTable(h.Team), nftChain(l.Index)
	begin := fmt.Sprintf(
		"table netdev %s {\n\tchain %s { type filter hook ingress device %q priority -500; policy drop; }\n}\nflush "+
			"chain netdev %s %s\n",
		table, chain, l.Name, table, chain)
	_, err := nft(begin + fmt.Sprintf(`table netdev %s {
	chain %s {
		vlan id 1-4095 drop
		ether type 8021ad drop
		meta protocol arp meta pkttype set other accept
		meta protocol ip udp dport 68 accept
		meta protocol ip6 udp dport 546 accept
		meta protocol { ip, ip6, vlan, 8021ad } drop
		accept
	}
}
`, table, chain))
	if err != nil {
		h.log.Warn("NIC receives none of its own protocols while it is a member", "nic", l.Name, "err", err)
		_, err = nft(begin)
	}
	return err
}

// unisolateNft removes the member's chain, and the table with the last chain.
func (h *Hooks) unisolateNft(index int) error {
	table := nfnl.TeamTable(h.Team)
	out, err := nft("list tables netdev\n")
	if err != nil {
		return err
	}
	if !strings.Contains(out+"\n", "table netdev "+table+"\n") {
		return nil
	}
	if out, err = nft("list table netdev " + table + "\n"); err != nil {
		return err
	}
	chains := strings.Count(out, "\tchain ")
	ours := strings.Contains(out, "\tchain "+nftChain(index)+" {")
	var script string
	switch {
	case ours && chains > 1:
		script = "delete chain netdev " + table + " " + nftChain(index) + "\n"
	case ours || chains == 0:
		script = "delete table netdev " + table + "\n"
	default:
		return nil
	}
	if err := h.conn.FaultPoint("remove nft chain"); err != nil {
		return err
	}
	_, err = nft(script)
	return err
}
