// SPDX-License-Identifier: MIT

// Package selftest finds out whether a host can still be reached after a change of its network, as it could before.
//
// Before the change (Begin, Settle) these are asked by the links that the change is about, and by what is on top of
// them (VLANs, a bridge):
//
//   - the gateways of default routes, of IPv4 and IPv6; where none answers, the hosts that were heard from last
//   - the next hop of the caller's SSH connection, if that goes by these links
//
// Who answers is required to answer afterwards. Who does not (it is down, it never answered, it was set by hand) is
// not.
//
// After the change (Through, Check) each gateway that answered, and the next hop, must answer by the links that the
// addresses are on then; of the hosts one must. They have Within from Through on.
//
// The question is the kernel's own (NUD_PROBE, then multicast), because the answer then has gone the whole way: stack,
// adapter, data path, NIC, switch, and back. Only a reply to this host that came in by that link makes the kernel call
// a neighbour reachable.
//
// The SSH connection is judged by TCP_INFO. It must have gone on before the change (nothing was sent again, the
// client took what there was):
//
//   - something is acknowledged that was sent since Through: it goes on
//   - nothing is unacknowledged or waits to be sent: it is silent, which proves nothing; its next hop's answer counts
//   - something is unacknowledged or unsent and stays so until Within is over: it is cut off
//   - it is not there any more: its client or its server has ended it, which is no failure of the network
//
// Data that comes in is no progress: the client sends it again and again if it does not hear this host.
package selftest
