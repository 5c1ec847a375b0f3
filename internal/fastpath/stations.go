// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/internal/relay"
)

// stations is the map of the stations that a Plan has behind the adapter, in which programs record when the adapter
// last sent from each.
type stations struct {
	table   *ebpf.Map
	current []frame.Station // sorted
}

// reportInterval is how often programs report a station that may have moved.
const reportInterval = time.Second

// adopt takes the table of the process before.
func (s *stations) adopt() error {
	var x uint64
	var v programStation
	all := s.table.Iterate()
	for all.Next(&x, &v) {
		s.current = append(s.current, frame.Station(x))
	}
	slices.Sort(s.current)
	if err := all.Err(); err != nil {
		return fmt.Errorf("read stations: %w", err)
	}
	return nil
}

// add adds the stations of a Plan, sorted, before it comes into force. A new one is not reported as moved while its
// earlier frames may still be reflected.
func (s *stations) add(all []frame.Station) error {
	v := programStation{Reported: uint64(relay.Monotonic() - int64(reportInterval) + int64(relay.MovedAfter))}
	return s.forMissing(all, s.current, func(x frame.Station) error {
		return s.table.Update(uint64(x), v, ebpf.UpdateNoExist)
	})
}

// trim removes all other stations. left gets those that sent recently, before: their frames may still be reflected.
func (s *stations) trim(all []frame.Station, left func(x frame.Station, sent uint64)) error {
	err := s.forMissing(s.current, all, func(x frame.Station) error {
		if at := s.sent(x); at != 0 && relay.Monotonic()-int64(at) < int64(relay.RecentTime) {
			left(x, at)
		}
		return s.table.Delete(uint64(x))
	})
	s.current = all
	return err
}

// forMissing calls f for the stations of a list that are not in another, both sorted. Errors that say that the entry
// already exists, or does not, are ignored.
func (s *stations) forMissing(of, not []frame.Station, f func(frame.Station) error) error {
	for _, x := range of {
		for len(not) > 0 && not[0] < x {
			not = not[1:]
		}
		if len(not) > 0 && not[0] == x {
			continue
		}
		if err := f(x); err != nil && !errors.Is(err, ebpf.ErrKeyExist) && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("note station %v: %w", x, err)
		}
	}
	return nil
}

// sent returns when the adapter last sent from x, in ns of CLOCK_MONOTONIC; 0: never.
func (s *stations) sent(x frame.Station) uint64 {
	var v programStation
	if s.table.Lookup(uint64(x), &v) != nil {
		return 0
	}
	return v.Sent
}

// sentRecently reports whether the adapter sent from x within MovedAfter: it has not moved.
func (s *stations) sentRecently(x frame.Station) bool {
	at := s.sent(x)
	return at != 0 && relay.Monotonic()-int64(at) < int64(relay.MovedAfter)
}

// recent returns when the adapter last sent from stations, as far as their frames may still be reflected.
func (s *stations) recent() map[frame.Station]int64 {
	now, all := relay.Monotonic(), map[frame.Station]int64{}
	for _, x := range slices.Clone(s.current) {
		if at := int64(s.sent(x)); at != 0 && now-at < int64(relay.RecentTime) {
			all[x] = at
		}
	}
	return all
}

// noteSent records that a frame is sent in the name of a station, but not by programs. If that fails, the reflected
// frame looks as if the station had moved, until the station sends again.
func (k *kernel) noteSent(x frame.Station) {
	now := uint64(relay.Monotonic())
	if k.Stations.Update(uint64(x), programStation{Sent: now}, ebpf.UpdateExist) != nil {
		k.noteRecent(x, now)
	}
}

// noteRecent records when a station that the Plan does not have sent.
func (k *kernel) noteRecent(x frame.Station, at uint64) {
	_ = k.RecentLocal.Put(uint64(x), at)
	atomic.StoreUint64(&k.control.RecentUntil, uint64(relay.Monotonic())+uint64(relay.RecentTime))
}
