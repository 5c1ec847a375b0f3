// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"slices"
	"strconv"
)

// Shares divides total among the values in whole parts that add up exactly, by the largest remainder method; the first
// of equals wins. All are zero if the values are.
func Shares(values []float64, total int) []int {
	sum := 0.0
	for _, v := range values {
		sum += drawable(v)
	}
	parts := make([]int, len(values))
	if sum == 0 || total <= 0 {
		return parts
	}
	order := make([]int, len(values))
	rest := make([]float64, len(values))
	left := total
	for i, v := range values {
		exact := drawable(v) / sum * float64(total)
		whole := math.Floor(exact)
		parts[i], rest[i], order[i] = int(whole), exact-whole, i
		left -= parts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case rest[a] > rest[b]:
			return -1
		case rest[a] < rest[b]:
			return 1
		}
		return 0
	})
	for i := 0; left > 0; i = (i + 1) % len(order) {
		if drawable(values[order[i]]) > 0 {
			parts[order[i]]++
			left--
		}
	}
	for i := len(order) - 1; left < 0; i = (i + len(order) - 1) % len(order) { // rounding of huge sums
		if parts[order[i]] > 0 {
			parts[order[i]]--
			left++
		}
	}
	return parts
}

// protocolShare is a protocol's share of what was carried.
type protocolShare struct {
	name     string
	protocol int
	amount   float64
}

// protocolParts sums each protocol over the period shown in both directions, and leaves out those without traffic.
func protocolParts(d *Data, o *Options) []protocolShare {
	n := o.shownBins(d)
	var all []protocolShare
	for i := range d.Protocols {
		p := protocolShare{name: o.Glyphs.clean(d.Protocols[i].Name), protocol: i}
		for _, bins := range [][]Bin{d.Protocols[i].In, d.Protocols[i].Out} {
			for _, b := range lastBins(bins, n) {
				if b.Known {
					avg, _ := b.rate(o.packets())
					p.amount += avg
				}
			}
		}
		if p.amount > 0 {
			all = append(all, p)
		}
	}
	return all
}

// shareRow shows each protocol's share of the period shown in one row, with tenths of a percent if they fit. Protocols
// without room are summed as "…", so that the line adds up to 100 %.
func shareRow(d Data, o Options) Grid {
	g := newGrid(o.Width, min(1, max(o.Height, 1)))
	if o.Width < 1 {
		return g
	}
	parts := protocolParts(&d, &o)
	if len(parts) == 0 {
		g.text(0, 0, o.Glyphs.clip("no traffic", o.Width), Label)
		return g
	}
	if !writeShares(g, parts, 1000, &o) && !writeShares(g, parts, 100, &o) {
		for len(parts) > 1 {
			n := len(parts)
			rest := protocolShare{"…", parts[n-1].protocol, parts[n-1].amount + parts[n-2].amount}
			if o.Glyphs == ASCII {
				rest.name = "etc"
			}
			parts = append(parts[:n-2], rest)
			if writeShares(g, parts, 100, &o) {
				break
			}
		}
	}
	return g
}

// writeShares writes the line and reports whether it fits.
func writeShares(g Grid, parts []protocolShare, total int, o *Options) bool {
	amounts := make([]float64, len(parts))
	for i, p := range parts {
		amounts[i] = p.amount
	}
	shares := Shares(amounts, total)
	texts := make([]string, len(parts))
	width, key := 0, 0 // key: the width of the layer's swatch, if the chart has one
	if o.View == ByProtocol {
		key = 2
	}
	for i := range parts {
		if total == 1000 {
			texts[i] = strconv.Itoa(shares[i]/10) + "." + strconv.Itoa(shares[i]%10) + " %"
			texts[i] = "      "[:max(0, 6-len(texts[i]))] + texts[i]
		} else {
			texts[i] = strconv.Itoa(shares[i]) + "%"
			texts[i] = "   "[:max(0, 3-len(texts[i]))] + texts[i]
		}
		width += key + cells(parts[i].name) + 1 + len(texts[i]) + 2
	}
	if width-2 > len(g[0]) {
		return false
	}
	x := 0
	for i, p := range parts {
		if key > 0 {
			g.put(x, 0, o.Glyphs.swatch(p.protocol, o.Solid), protocolRole(p.protocol))
		}
		x = g.text(x+key, 0, p.name, Title)
		x = g.text(x+1, 0, texts[i], Text) + 2
	}
	return true
}
