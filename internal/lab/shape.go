package lab

import (
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// A burst below a super-frame would make the kernel cut each one up, and below some milliseconds
	// of the rate a late timer would cost throughput.
	minBurst  = 128 << 10
	burstTime = 4 * time.Millisecond
	// What may wait is bounded as in a switch: TCP finds the rate, and a ping under load shows a queue, not a minute.
	queueTime = 20 * time.Millisecond
)

// Shape limits what a device transmits; 0 ends that.
func (h *Host) Shape(name string, bitsPerSecond uint64) error {
	return h.withLink(name, "shape", func(l netlink.Link) error {
		attrs := netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
		if bitsPerSecond == 0 {
			return h.handle.QdiscDel(&netlink.Tbf{QdiscAttrs: attrs})
		}
		rate := bitsPerSecond / 8
		burst := max(minBurst, uint32(float64(rate)*burstTime.Seconds()))
		return h.handle.QdiscReplace(&netlink.Tbf{
			QdiscAttrs: attrs,
			Rate:       rate,
			Buffer:     netlink.Xmittime(rate, burst),
			Limit:      burst + uint32(float64(rate)*queueTime.Seconds()),
		})
	})
}
