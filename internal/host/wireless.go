package host

import (
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// wireless reports whether a NIC is a Wi-Fi one. Drivers of the old wireless extensions answer an ioctl; kernels
// without these, and NICs of Wi-Fi 7, which they do not serve, are known to nl80211.
func (h *Host) wireless(name string, index int) bool {
	return h.probe.wireless(name) || h.known80211(index)
}

// known80211 asks nl80211 for an interface: it has every Wi-Fi NIC and no other.
func (h *Host) known80211(index int) bool {
	family, err := h.rt.Handle.GenlFamilyGet(unix.NL80211_GENL_NAME)
	if err != nil {
		return false // a kernel without Wi-Fi
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(&nl.Genlmsg{Command: unix.NL80211_CMD_GET_INTERFACE})
	req.AddData(nl.NewRtAttr(unix.NL80211_ATTR_IFINDEX, nl.Uint32Attr(uint32(index))))
	answers, err := req.Execute(unix.NETLINK_GENERIC, 0)
	return err == nil && len(answers) > 0
}
