// SPDX-License-Identifier: MIT

package chart

// half is one direction of a chart: its layers, from the axis outward, and their sum.
type half struct {
	layers [][]sample // a layer, a column
	sum    []sample   // avg is the sum of the layers, peak that of the total
}

// plot is the content of a chart before it becomes cells or pixels.
type plot struct {
	window
	in, out         half
	names           []string
	inRole, outRole []Role // of each layer
	link            float64
	solid           bool
}

// newPlot resamples the data to a number of columns.
func newPlot(d *Data, o *Options, cols int) *plot {
	p := &plot{window: newWindow(d, o.Last, cols)}
	p.link = d.linkSpeed()
	total := d.total()
	var all []Series
	switch o.View {
	case ByMember:
		all = d.memberSeries()
		for i := range all {
			p.inRole = append(p.inRole, memberRole(i))
		}
		p.outRole = p.inRole
	case ByProtocol:
		all = d.Protocols
		for i := range all {
			p.inRole = append(p.inRole, protocolRole(i))
		}
		p.outRole = p.inRole
	}
	if len(all) == 0 {
		all = []Series{total}
		p.inRole, p.outRole = []Role{In}, []Role{Out}
	}
	p.solid = o.Solid || len(all) == 1
	ins, outs := make([][]Bin, len(all)), make([][]Bin, len(all))
	for i, s := range all {
		p.names = append(p.names, o.Glyphs.clean(s.Name))
		ins[i], outs[i] = s.In, s.Out
	}
	p.in = newHalf(&p.window, ins, total.In, o.packets())
	p.out = newHalf(&p.window, outs, total.Out, o.packets())
	return p
}

func newHalf(w *window, layers [][]Bin, total []Bin, packets bool) half {
	h := half{layers: make([][]sample, len(layers)), sum: w.resample(total, packets)}
	for x := range h.sum {
		h.sum[x].avg = 0
	}
	for i, bins := range layers {
		h.layers[i] = w.resample(bins, packets)
		for x, s := range h.layers[i] {
			if !s.known {
				continue
			}
			t := &h.sum[x]
			t.known = true
			t.avg += s.avg
			t.peak = max(t.peak, t.avg, s.peak)
		}
	}
	return h
}

// highestPeak returns the highest peak shown.
func (h *half) highestPeak() float64 {
	top := 0.0
	for _, s := range h.sum {
		top = max(top, s.peak)
	}
	return top
}

// known reports whether column x has data.
func (p *plot) known(x int) bool { return p.in.sum[x].known || p.out.sum[x].known }
