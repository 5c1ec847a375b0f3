// SPDX-License-Identifier: MIT

package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"nicteam/internal/api"
)

// head names the fields. They do not depend on NICs and protocols: each series has its own lines.
var head = []string{"time", "seconds", "scope", "name",
	"rx_bytes", "rx_frames", "tx_bytes", "tx_frames",
	"rx_bytes_peak", "rx_frames_peak", "tx_bytes_peak", "tx_frames_peak"}

// csv writes a line per column of time and series: when the column starts, how many seconds of it are known, whose
// traffic it is, what was carried, and what its busiest second carried. A gap has zero seconds and no figures.
func (t *Traffic) csv(w io.Writer) error {
	h := t.History
	type line struct {
		scope, name string
		rx, tx      api.SeriesColumns
	}
	var lines []line
	if h.Member == "" {
		lines = append(lines, line{"team", h.Team, h.RX, h.TX})
	}
	for _, m := range t.members() {
		lines = append(lines, line{"member", m.Name, m.RX, m.TX})
	}
	for _, p := range h.Protocols {
		lines = append(lines, line{"protocol", p.Name, p.RX, p.TX})
	}
	out := csv.NewWriter(w)
	_ = out.Write(head) // the writer keeps the first error
	for i, covered := range h.Covered {
		begins := h.From.Add(time.Duration(i) * time.Duration(h.Step)).UTC().Format(time.RFC3339Nano)
		seconds := strconv.FormatFloat(time.Duration(covered).Seconds(), 'f', -1, 64)
		for _, l := range lines {
			row := []string{begins, seconds, l.scope, l.name}
			for _, list := range [][]uint64{l.rx.Bytes, l.rx.Frames, l.tx.Bytes, l.tx.Frames,
				l.rx.BytesPeak, l.rx.FramesPeak, l.tx.BytesPeak, l.tx.FramesPeak} {
				figure := ""
				if covered > 0 {
					figure = strconv.FormatUint(at(list, i), 10)
				}
				row = append(row, figure)
			}
			_ = out.Write(row)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	return nil
}
