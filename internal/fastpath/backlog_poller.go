// SPDX-License-Identifier: MIT

package fastpath

import (
	"sync/atomic"
	"time"

	"nicteam/internal/fastpath/backlog"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// backlogPoller is the state of the monitor's goroutine.
type backlogPoller struct {
	monitor *backlogMonitor
	path    *Path
	kernel  *kernel
	ageing  ageingReporter

	counters team.Counters
	totals   [spread.MaxMembers]backlog.TxTotals // at the last poll
	plan     *spread.Plan
	ids      spread.MemberSet // that have joined
	indexes  backlog.Indexes

	links      [spread.MaxMembers]backlog.LinkStats
	qdiscs     [spread.MaxMembers]backlog.QdiscStats
	before     [spread.MaxMembers]backlog.TxTotals // reading the NICs
	after      [spread.MaxMembers]backlog.TxTotals // reading all
	qdiscsRead time.Time                           // when qdiscs was read
	qdiscsTook time.Duration                       // to read them
	busy       spread.MemberSet                    // with a backlog

	unreported [spread.MaxMembers]pickerReport // to the Picker
}

// poll samples all members and returns how long to wait until the next poll.
func (w *backlogPoller) poll() time.Duration {
	w.snapshotMembers()
	w.ageing.report(w.plan)
	w.readTxTotals(&w.before)
	sent := w.transmittedSince()
	if sent == 0 && w.busy == 0 && w.indexes == w.monitor.measured {
		return pollIdle
	}
	began := time.Now()
	at, err := w.readLinks()
	if err != nil {
		return pollNormal // the next poll may succeed
	}
	qdiscRead := false
	if w.indexes != w.monitor.measured ||
		began.Sub(w.qdiscsRead) >= min(qdiscsShare*w.qdiscsTook, qdiscsMaxInterval)-pollBusy/2 {
		start := time.Now()
		qdiscRead = w.monitor.stats.ReadQdiscs(&w.indexes, &w.qdiscs) == nil
		w.noteQdiscsTook(time.Since(start))
		w.qdiscsRead = began
	}
	w.updateEstimates(at, qdiscRead)
	if w.plan.Rule != spread.RuleShortest {
		return pollDrops // only Backlog needs the estimates, and samples by itself
	}
	w.reportToPicker()
	if sent < lowTraffic && w.busy == 0 {
		return pollNormal
	}
	return min(max(pollBusy, qdiscsShare*w.qdiscsTook), pollBusyMax)
}

// readLinks reads the counters of the members' NICs and returns when. A reading that took long is inexact and repeated.
func (w *backlogPoller) readLinks() (at int64, err error) {
	for tries := 0; ; tries++ {
		start := relay.Monotonic()
		if err := w.monitor.stats.ReadLinks(&w.indexes, &w.links); err != nil {
			return 0, err
		}
		at = relay.Monotonic()
		if at-start < int64(instant) || tries == 2 {
			return at, nil
		}
		w.readTxTotals(&w.before)
	}
}

// noteQdiscsTook keeps how long reading qdiscs takes: about the shortest of the last times, since the others waited for
// the kernel's lock or for a processor.
func (w *backlogPoller) noteQdiscsTook(took time.Duration) {
	if w.qdiscsTook == 0 || took < w.qdiscsTook {
		w.qdiscsTook = took
		return
	}
	w.qdiscsTook += (took - w.qdiscsTook) / 16
}

// snapshotMembers copies the Plan and the members.
func (w *backlogPoller) snapshotMembers() {
	p := w.path
	p.mu.Lock()
	defer p.mu.Unlock()
	w.plan, w.ids, w.indexes = p.plan, 0, backlog.Indexes{}
	for id, l := range p.links {
		if l != nil {
			w.ids, w.indexes[id] = w.ids.With(id), int32(l.Index)
		}
	}
}

// readTxTotals fills to with what the programs transmitted by each member.
func (w *backlogPoller) readTxTotals(to *[spread.MaxMembers]backlog.TxTotals) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		to[left.First()] = w.kernel.txTotals(left.First())
	}
}

// transmittedSince returns the bytes transmitted since the last poll.
func (w *backlogPoller) transmittedSince() (bytes uint64) {
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		bytes += w.before[id].WireBytes - w.totals[id].WireBytes
	}
	w.totals = w.before
	return bytes
}

// txTotals returns what the programs transmitted by a member.
func (k *kernel) txTotals(id int) (t backlog.TxTotals) {
	for i := range k.cpus {
		m := &k.cpus[i].Members[id]
		for p := range m.Tx {
			t.WireBytes += atomic.LoadUint64(&m.Tx[p].Bytes)
		}
		t.SKBBytes += atomic.LoadUint64(&m.TxSkbBytes)
	}
	return t
}

// addRelayed adds what the relay transmitted by a member.
func addRelayed(to *backlog.TxTotals, c *team.MemberCounters) {
	for p := range c.TX {
		to.WireBytes += c.TX[p].Bytes
		to.SKBBytes += c.TX[p].Bytes
	}
}

// updateEstimates gives each estimator its sample.
func (w *backlogPoller) updateEstimates(at int64, qdiscRead bool) {
	w.readTxTotals(&w.after)
	w.path.relay.Counters(&w.counters)
	w.monitor.mu.Lock()
	defer w.monitor.mu.Unlock()
	w.busy = 0
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		id := left.First()
		e := &w.monitor.estimators[id]
		if w.monitor.measured[id] != w.indexes[id] {
			e.Forget()
		}
		addRelayed(&w.before[id], &w.counters.Members[id])
		addRelayed(&w.after[id], &w.counters.Members[id])
		p := e.Update(&backlog.Sample{At: at, Before: w.before[id], After: w.after[id],
			Link: w.links[id], Qdisc: w.qdiscs[id], QdiscRead: qdiscRead})
		w.monitor.dropped[id] += p.Dropped
		w.unreported[id].accepted += int64(p.Accepted)
		w.unreported[id].backlog = p.Backlog
		if p.Backlog > 0 {
			w.busy = w.busy.With(id)
		}
	}
	w.monitor.measured = w.indexes
}

// pickerReport is what the Picker does not know of a member yet.
type pickerReport struct {
	accepted int64 // bytes; negative: reported too early
	backlog  int   // bytes
}

// reportToPicker reports members that transmitted to the Picker. Bytes transmitted since the reading are on the
// members' clocks already and have hardly left. They are reported as backlog too, or the Picker would take them off the
// clocks.
func (w *backlogPoller) reportToPicker() {
	var set spread.MemberSet
	for left := w.ids; left != 0; left = left.Without(left.First()) {
		if id := left.First(); w.unreported[id].accepted > 0 || w.busy.Has(id) {
			set = set.With(id)
		}
	}
	if set == 0 {
		return
	}
	// On an error the relay is closed, and the Path soon.
	_ = w.path.relay.DoWithPicker(func(pk *spread.Picker, _ int64) {
		for left := set; left != 0; left = left.Without(left.First()) {
			id := left.First()
			now := w.kernel.txTotals(id)
			addRelayed(&now, &w.counters.Members[id])
			r, late := &w.unreported[id], int64(now.WireBytes-w.after[id].WireBytes)
			reported := max(r.accepted+late, 0)
			pk.Measured(id, uint64(reported), r.backlog+int(late))
			r.accepted -= reported
		}
	})
}
