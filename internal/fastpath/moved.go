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
)

// moveReader reads the stations of the Plan that programs received frames from, and passes them to the relay, which
// checks whether they have moved. Its goroutine sleeps unless a station may have moved.
type moveReader struct {
	reader *ringbuf.Reader
	done   chan struct{}
}

func readMoved(r *relay.Relay, k *kernel, caught *panics.Keeper) (*moveReader, error) {
	reader, err := ringbuf.NewReader(k.Moved)
	if err != nil {
		return nil, fmt.Errorf("read moved stations: %w", err)
	}
	e := &moveReader{reader: reader, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		caught.Restart(context.Background(), "moved stations", func() { e.run(r) })
	}()
	return e, nil
}

func (e *moveReader) run(r *relay.Relay) {
	var record ringbuf.Record
	var seen relay.MoveCandidates
	for e.reader.ReadInto(&record) == nil {
		if len(record.RawSample) < 8 {
			continue
		}
		s := frame.Station(binary.NativeEndian.Uint64(record.RawSample))
		if seen.Add(relay.Monotonic(), s) {
			r.CheckMoved(s)
		}
	}
}

// close ends the goroutine and waits for it; nil is fine.
func (e *moveReader) close() error {
	if e == nil {
		return nil
	}
	err := e.reader.Close()
	<-e.done
	return err
}
