// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"math/rand/v2"
	"time"
)

// sampleData is 10 minutes of two NICs: traffic that swells and ebbs, a cable pulled for a while, a gap for a restart
// of the daemon, peaks within seconds.
func sampleData() Data {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 600
	d := Data{
		Name: "team0 · elb · 2/2 up",
		End:  time.Date(2026, 3, 4, 14, 5, 7, 0, time.UTC),
		Step: time.Second,
	}
	d.Members = []Member{{State: "up", Up: true, Link: 1e9}, {State: "up", Up: true, Link: 1e9}}
	d.Members[0].Name, d.Members[1].Name = "eth0", "eth1"
	for _, name := range []string{"TCP", "UDP", "ICMP", "ARP", "other"} {
		d.Protocols = append(d.Protocols, Series{Name: name})
	}
	share := []float64{0.912, 0.068, 0.001, 0.001, 0.018}
	for i := range n {
		t := float64(i)
		wave := 0.45 + 0.35*math.Sin(t/23) + 0.15*math.Sin(t/7)
		in := [2]float64{1e8 * wave * (0.9 + 0.2*r.Float64()), 0.9e8 * wave * (0.8 + 0.4*r.Float64())}
		out := [2]float64{0.35e8 * (1 - wave) * (0.9 + 0.2*r.Float64()), 0.3e8 * (1 - wave*0.6)}
		if i >= 490 && i < 520 { // eth1's cable is pulled
			in[0], out[0] = min(in[0]+in[1], 1.2e8), out[0]+out[1]
			in[1], out[1] = 0, 0
		}
		known := i < 420 || i >= 432
		var ti, to Bin
		for m := range 2 {
			bi, bo := bin(in[m], r.Float64()), bin(out[m], r.Float64()/2)
			bi.Known, bo.Known = known, known
			d.Members[m].In, d.Members[m].Out = append(d.Members[m].In, bi), append(d.Members[m].Out, bo)
			ti, to = ti.plus(bi), to.plus(bo)
		}
		ti.MaxBytes, to.MaxBytes = ti.Bytes*(1+0.25*r.Float64()), to.Bytes*(1+0.15*r.Float64())
		d.Total.In, d.Total.Out = append(d.Total.In, ti), append(d.Total.Out, to)
		for p := range d.Protocols {
			bi, bo := bin(ti.Bytes*share[p], 0), bin(to.Bytes*share[p], 0)
			bi.Known, bo.Known = known, known
			d.Protocols[p].In, d.Protocols[p].Out = append(d.Protocols[p].In, bi), append(d.Protocols[p].Out, bo)
		}
	}
	d.Events = []Event{
		{d.End.Add(-110 * time.Second), "eth1 link down → flows moved to eth0 in 0.4 ms", "eth1: carrier lost"},
		{d.End.Add(-80 * time.Second), "eth1 link up", "eth1 up again"},
	}
	return d
}

func bin(rate, burst float64) Bin {
	peak := rate * (1 + 0.3*burst)
	return Bin{Known: true, Bytes: rate, Frames: rate / 900, MaxBytes: peak, MaxFrames: peak / 900}
}
