// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Probe returns why this kernel would not let this process use the programs: it loads them, which verifies them, and
// runs them on a frame in each direction. It attaches nothing and sends nothing. It does not check the hooks of NICs.
func Probe() error {
	k, err := load()
	if err != nil {
		return err
	}
	return errors.Join(k.selfTest(), k.close())
}

const (
	loopbackIndex = 1 // of lo, in every network namespace; nothing is sent by it
	actRedirect   = 7 // TC_ACT_REDIRECT
)

// selfTest runs the programs on a frame in each direction, under a Plan of a team with one member, while they are not
// attached. It leaves that Plan, which the next one replaces, and nothing else.
func (k *kernel) selfTest() (err error) {
	const adapter, member, peer = frame.MAC(0x020000000001), frame.MAC(0x020000000002), frame.MAC(0x020000000003)
	id := spread.MemberSet(0).With(0)
	pl := &spread.Plan{Rule: spread.RuleSingle, Adapter: adapter, TeamMACs: []frame.MAC{adapter, member},
		PerMember:    true,
		Distributing: id, Collecting: id, Multicast: id, Next: -1, MACs: [spread.MaxMembers]frame.MAC{member}}
	links := [spread.MaxMembers]*team.Link{0: {Name: "lo", Index: loopbackIndex}}
	k.control.Adapter = loopbackIndex
	if err := k.applyPlan(pl, &links); err != nil {
		return fmt.Errorf("try programs: %w", err)
	}
	if err := k.setMember(loopbackIndex, 0); err != nil {
		return fmt.Errorf("try programs: %w", err)
	}
	defer func() {
		atomic.StoreUint32(&k.control.TransmitGate, relay.GateSlow)
		clear(k.cpus)
		*k.rxBytes = spread.RxBytes{}
		err = errors.Join(err, k.dropMember(loopbackIndex))
	}()
	atomic.StoreUint32(&k.control.TransmitGate, relay.GateFast)
	for i := range k.cpus {
		// As relay_filter does before receive.
		k.cpus[i].Ifindex, k.cpus[i].Decided = loopbackIndex, relay.GateFast
	}
	for _, way := range []struct {
		name             string
		program          *ebpf.Program
		dst, src         frame.MAC
		wantDst, wantSrc frame.MAC
	}{
		{"transmit", k.Transmit, peer, adapter, peer, member},
		{"receive", k.Receive, member, peer, adapter, peer},
	} {
		in := make([]byte, 60)
		way.dst.Put(in, 0)
		way.src.Put(in, 6)
		in[12], in[13] = 0x08, 0x00 // IP without a valid packet
		out := make([]byte, 256)
		got, err := way.program.Run(&ebpf.RunOptions{Data: in, DataOut: out})
		if err != nil {
			return fmt.Errorf("try program %s: %w", way.name, err)
		}
		if dst, src := frame.MACAt(out, 0), frame.MACAt(out, 6); int32(got) != actRedirect || dst != way.wantDst ||
			src != way.wantSrc {
			return fmt.Errorf("try program %s: it returns %d for a frame from %v to %v", way.name, int32(got), src, dst)
		}
	}
	return nil
}
