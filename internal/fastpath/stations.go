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

// stations are those that a Plan has behind the adapter, with what programs note of them: when the adapter last sent
// from each.
type stations struct {
	table   *ebpf.Map
	current []frame.Station // sorted
}

// reportInterval is how often programs tell of a station that is heard from elsewhere.
const reportInterval = time.Second

// add has programs know the stations of a Plan, sorted, before it comes into force. Of one that is new nobody is told
// while what was sent from it before may still come back.
func (s *stations) add(all []frame.Station) error {
	v := programStation{Reported: uint64(relay.Monotonic() - int64(reportInterval) + int64(relay.MovedAfter))}
	return s.forMissing(all, s.current, func(x frame.Station) error { return s.table.Update(uint64(x), v, ebpf.UpdateNoExist) })
}

// trim has programs know no others. Of what others have sent lately left knows when, first: it may still come back.
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

// forMissing calls f for those of a list that are not in another, both sorted. That an entry is as it is to be is no error.
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

// sent is when the adapter last sent from x, in ns of CLOCK_MONOTONIC; 0 never.
func (s *stations) sent(x frame.Station) uint64 {
	var v programStation
	if s.table.Lookup(uint64(x), &v) != nil {
		return 0
	}
	return v.Sent
}

// sentRecently reports whether that is too recent for the station to be elsewhere.
func (s *stations) sentRecently(x frame.Station) bool {
	at := s.sent(x)
	return at != 0 && relay.Monotonic()-int64(at) < int64(relay.MovedAfter)
}

// recent are the moments when the adapter last sent from stations, as far as a frame may still come back.
func (s *stations) recent() map[frame.Station]int64 {
	now, all := relay.Monotonic(), map[frame.Station]int64{}
	for _, x := range slices.Clone(s.current) {
		if at := int64(s.sent(x)); at != 0 && now-at < int64(relay.RecentTime) {
			all[x] = at
		}
	}
	return all
}

// noteSent has programs know that a frame is sent in the name of a station, which is not by them. What cannot be noted
// is taken for the station's own word from elsewhere when it comes back, and the station speaks again.
func (k *kernel) noteSent(x frame.Station) {
	now := uint64(relay.Monotonic())
	if k.Stations.Update(uint64(x), programStation{Sent: now}, ebpf.UpdateExist) != nil {
		k.noteRecent(x, now)
	}
}

// noteRecent has programs know when a station that the Plan does not have has sent.
func (k *kernel) noteRecent(x frame.Station, at uint64) {
	_ = k.RecentLocal.Put(uint64(x), at)
	atomic.StoreUint64(&k.control.RecentUntil, uint64(relay.Monotonic())+uint64(relay.RecentTime))
}
