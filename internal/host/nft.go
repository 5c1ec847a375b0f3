package host

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
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

// nftTable is the team's own table; nft's identifiers have no dash and no dot.
func (h *Host) nftTable() string {
	id := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}
	return "nicteam_" + strings.Map(id, h.o.Team)
}

func nftChain(index int) string { return fmt.Sprintf("member_%d", index) }

// isolateNft drops ingress by a netdev chain. It outlives the process.
func (h *Host) isolateNft(j *journal, m *memberState, n NIC) error {
	if err := j.write(record{Kind: kindIsolate, No: m.no, Method: byNft}); err != nil {
		return err
	}
	if err := h.at("add nft chain for " + n.Name); err != nil {
		return err
	}
	_, err := nft(fmt.Sprintf(`table netdev %s {
	chain %s { type filter hook ingress device "%s" priority -500; policy drop; }
}
`, h.nftTable(), nftChain(n.Index), n.Name))
	return err
}

// admitNft takes the member's chain away, and the table with the last one.
func (h *Host) admitNft(index int) error {
	table := h.nftTable()
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
	if err := h.at("remove nft chain"); err != nil {
		return err
	}
	_, err = nft(script)
	return err
}
