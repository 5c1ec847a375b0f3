// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// The adapter's kernel refreshes addresses that it formed itself. Addresses that the members' kernels had formed, with
// other MACs or for privacy, would expire on the adapter: they are refreshed here as long as their kernel would have.

// twoHours is the lifetime down to which an unauthenticated advertisement may shorten one (RFC 4862 clause 5.5.3 e), in
// seconds.
const twoHours = 2 * 60 * 60

// RefreshFromRAs refreshes the adapter's addresses that members' kernels had formed, on router advertisements, until
// ctx ends.
func (h *Host) RefreshFromRAs(ctx context.Context, adapter int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whatever ends it
	heard := make(chan rtnl.Prefix)
	rtnl.WatchEvents(ctx, []uint{rtnl.GroupIPv6Prefix}, func(ctx context.Context, f *os.File, _ func()) {
		rtnl.ReadEvents(ctx, f, func(b []byte) { // routers repeat what was lost
			rtnl.EachMessage(b, func(m rtnl.Message) {
				p, ok := rtnl.ParsePrefix(m.Body)
				if !ok || m.Kind != rtnl.RTMNewPrefix || p.Index != adapter {
					return
				}
				select {
				case heard <- p:
				case <-ctx.Done():
				}
			})
		})
	})
	for {
		select {
		case p := <-heard:
			if err := h.refreshFormed(adapter, p); err != nil {
				h.log.Warn("addresses not refreshed", "prefix", p.Prefix, "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// refreshFormed refreshes the adapter's addresses of an advertised prefix.
func (h *Host) refreshFormed(adapter int, p rtnl.Prefix) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	have, err := h.rt.Addresses(adapter)
	if err != nil {
		return err
	}
	return h.refreshAddresses(adapter, have, p, h.journal.State.FormedAddress)
}

// findFormed finds an address in the members' records if advertisements are to refresh it.
type findFormed func(rtnl.Object) (was rtnl.Object, of *journal.Member, ok bool)

// refreshAddresses refreshes those of the adapter's addresses that are of an advertised prefix.
func (h *Host) refreshAddresses(adapter int, have []rtnl.Object, p rtnl.Prefix, find findFormed) error {
	var errs []error
	for _, a := range have {
		if a.Family() != unix.AF_INET6 || rtnl.AddressPrefix(a).Masked() != p.Prefix {
			continue
		}
		was, of, ok := find(a)
		if !ok {
			continue
		}
		preferred, valid, ok := refreshed(a, formedAddress{was, of}, p, rtnl.MonotonicTime()/1e9)
		if !ok {
			continue
		}
		info := slices.Clone(a.Get(unix.IFA_CACHEINFO))
		binary.NativeEndian.PutUint32(info, preferred)
		binary.NativeEndian.PutUint32(info[4:], valid)
		a = rtnl.AddressRequest(a, adapter, 0)
		a.Set(unix.IFA_CACHEINFO, info)
		errs = append(errs, h.rt.Change("refresh "+rtnl.AddressPrefix(a).String(), unix.RTM_NEWADDR, unix.NLM_F_REPLACE,
			a))
	}
	return errors.Join(errs...)
}

// formedAddress is an address in its member's record.
type formedAddress struct {
	rtnl.Object
	of *journal.Member
}

// refreshed returns the lifetimes of an address after an advertisement (RFC 4862 clause 5.5.3 e); now is the time since
// boot in seconds. A temporary address ends at its limit (RFC 8981 clause 3.4). false: unchanged.
func refreshed(a rtnl.Object, was formedAddress, p rtnl.Prefix, now int64) (preferred, valid uint32, ok bool) {
	isPreferred, isValid := rtnl.Lifetimes(a)
	if isValid == rtnl.Forever || len(a.Get(unix.IFA_CACHEINFO)) < 8 {
		return 0, 0, false
	}
	preferred, valid = p.Preferred, p.Valid
	switch {
	case valid > twoHours || valid > isValid:
	case isValid > twoHours:
		valid = twoHours
	default:
		valid = isValid
	}
	if rtnl.IsTemporary(was.Object) {
		valid = min(valid, was.lifetimeLeft("ipv6/temp_valid_lft", now))
		preferred = min(preferred, was.lifetimeLeft("ipv6/temp_prefered_lft", now))
	}
	preferred = min(preferred, valid)
	if valid == 0 || sameLifetime(valid, isValid) && sameLifetime(preferred, isPreferred) {
		return 0, 0, false
	}
	return preferred, valid, true
}

// sameLifetime reports whether two lifetimes may be one, read at two moments.
func sameLifetime(a, b uint32) bool { return max(a, b)-min(a, b) <= 1 }

// lifetimeLeft returns for how long the kernel would still refresh a temporary address.
func (l formedAddress) lifetimeLeft(setting string, now int64) uint32 {
	limit, err := strconv.ParseInt(l.of.Sysctls[setting], 10, 64)
	info := l.Get(unix.IFA_CACHEINFO)
	if err != nil || len(info) < 16 {
		return rtnl.Forever
	}
	// struct ifa_cacheinfo: preferred, valid, cstamp, tstamp
	created := int64(binary.NativeEndian.Uint32(info[8:])) / rtnl.UserHZ
	return uint32(max(min(created+limit-now, int64(rtnl.Forever)), 0))
}
