// SPDX-License-Identifier: MIT

package fastpath

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/ringbuf"

	"nicteam/internal/frame"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// reportReader passes on what programs report: stations of the Plan that they received frames from, which the relay
// checks for having moved, and members without link. Its goroutine sleeps otherwise.
type reportReader struct {
	reader *ringbuf.Reader
	done   chan struct{}
}

func (p *Path) readReports(k *kernel) (*reportReader, error) {
	reader, err := ringbuf.NewReader(k.Reports)
	if err != nil {
		return nil, fmt.Errorf("read reports of programs: %w", err)
	}
	e := &reportReader{reader: reader, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		p.o.Panics.Restart(context.Background(), "reports of programs", func() { e.run(p, k) })
	}()
	return e, nil
}

func (e *reportReader) run(p *Path, k *kernel) {
	var record ringbuf.Record
	var seen relay.MoveCandidates
	for e.reader.ReadInto(&record) == nil {
		switch b := record.RawSample; len(b) {
		case 4:
			if id := binary.NativeEndian.Uint32(b); id < spread.MaxMembers {
				p.relay.Report(p.lookAt(k, int(id)))
			}
		case 8:
			if s := frame.Station(binary.NativeEndian.Uint64(b)); seen.Add(relay.Monotonic(), s) {
				p.relay.CheckMoved(s)
			}
		}
	}
}

// lookAt looks itself at a member that programs have seen to have no link, without the kernel's configuration lock. The
// report may be old, if this process has stood still, and then be of another NIC with that id. Programs may look at
// memory in which a NIC was, until the control loop knows that it is gone. So it is the loss of a NIC only if that
// NIC, found anew by its ifindex, is the one that programs look at, and has no link still. Otherwise the control loop
// is to read the links.
func (p *Path) lookAt(k *kernel, id int) team.Control {
	p.mu.Lock()
	l, address := p.links[id], k.devices[id]
	p.mu.Unlock()
	if l != nil && address != 0 {
		if d := p.findDevice(k, l); d.address == address && !d.isUp() {
			return team.Control{Kind: team.ControlLost, Member: id, Index: l.Index, Down: d.state&stateStart == 0}
		}
	}
	return team.Control{Kind: team.ControlSuspect, Member: id}
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
