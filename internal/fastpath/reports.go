// SPDX-License-Identifier: MIT

package fastpath

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/ringbuf"

	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// reportReader passes on what programs report: stations of the Plan that they received frames from, which the relay
// checks for having moved, and members without link, which the control loop looks at. Its goroutine sleeps otherwise.
type reportReader struct {
	reader *ringbuf.Reader
	done   chan struct{}
}

func readReports(r *relay.Relay, k *kernel, caught *panics.Keeper) (*reportReader, error) {
	reader, err := ringbuf.NewReader(k.Reports)
	if err != nil {
		return nil, fmt.Errorf("read reports of programs: %w", err)
	}
	e := &reportReader{reader: reader, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		caught.Restart(context.Background(), "reports of programs", func() { e.run(r) })
	}()
	return e, nil
}

func (e *reportReader) run(r *relay.Relay) {
	var record ringbuf.Record
	var seen relay.MoveCandidates
	for e.reader.ReadInto(&record) == nil {
		switch b := record.RawSample; len(b) {
		case 4:
			if id := binary.NativeEndian.Uint32(b); id < spread.MaxMembers {
				r.Report(team.Control{Kind: team.ControlSuspect, Member: int(id)})
			}
		case 8:
			if s := frame.Station(binary.NativeEndian.Uint64(b)); seen.Add(relay.Monotonic(), s) {
				r.CheckMoved(s)
			}
		}
	}
}

// close ends the goroutine and waits for it; nil is fine.
func (e *reportReader) close() error {
	if e == nil {
		return nil
	}
	err := e.reader.Close()
	<-e.done
	return err
}
