// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Engage hands frames over to the programs. On an error the relay goes on, unchanged.
func (p *Path) Engage() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.closed {
		return errors.New("the data path is closed")
	}
	if p.Engaged() {
		return nil
	}
	k, err := p.load()
	if err != nil {
		return err
	}
	if err := k.selfTest(); err != nil {
		return errors.Join(err, k.close())
	}
	k.control.Adapter = uint32(p.o.Adapter.Index())
	if err := p.attach(k); err != nil {
		return errors.Join(err, p.disengage())
	}
	if err := errors.Join(p.yield(k), p.unfitness()); err != nil {
		return errors.Join(err, p.disengage())
	}
	if p.reports, err = p.readReports(k); err != nil {
		return errors.Join(err, p.disengage())
	}
	p.backlog.start(p, k)
	return nil
}

// attach attaches the programs to the adapter and the members. Until yield they let all frames pass.
func (p *Path) attach(k *kernel) (err error) {
	// Write the Plan before taking mu, for which others wait: it may have thousands of MACs.
	p.mu.Lock()
	pl, now := p.plan, p.links
	p.mu.Unlock()
	for id, l := range now {
		if l != nil {
			k.devices[id] = p.findDevice(k, l).address
		}
	}
	if err := k.applyPlan(pl, &now); err != nil {
		return errors.Join(fmt.Errorf("apply plan: %w", err), k.close())
	}
	// Before any program is attached: with a link the next process needs all that its program reads.
	k.store(p.o.Store)
	p.mu.Lock()
	p.kernel = k
	k.forgetHellos()
	k.noteHellos(&p.hellos)
	p.relay.SetSentByPrograms(k.stations.sentRecently)
	err = p.relay.DoWithPicker(func(pk *spread.Picker, _ int64) { pk.KeepIn(k.txState) })
	if err == nil {
		err = p.applyToPrograms()
	}
	links := p.links
	p.mu.Unlock()
	if err != nil {
		return err
	}
	for id, l := range links {
		if l == nil {
			continue
		}
		if err := p.admitMember(k, id, l); err != nil { // the Plan above has it
			return fmt.Errorf("member %s: %w", l.Name, err)
		}
	}
	if p.egress, err = p.o.Hooks.Attach(p.o.Adapter.Index(), ebpf.AttachTCXEgress, k.Transmit); err != nil {
		return fmt.Errorf("adapter: %w", err)
	}
	return nil
}

// addMember makes the programs receive by a member.
func (p *Path) addMember(k *kernel, id int, l *team.Link) error {
	device := p.findDevice(k, l).address
	p.mu.Lock()
	k.devices[id] = device
	err := p.applyToPrograms()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.admitMember(k, id, l)
}

// admitMember makes the programs receive by a member that is in the Plan which they follow.
func (p *Path) admitMember(k *kernel, id int, l *team.Link) error {
	if err := k.setMember(l.Index, id); err != nil {
		return err
	}
	return p.attachMember(k, id, l)
}

// attachMember attaches the programs to a member.
func (p *Path) attachMember(k *kernel, id int, l *team.Link) error {
	// The filter first: receive follows its decision.
	if err := p.relay.SetSocketFilter(id, k.RelayFilter.FD()); err != nil {
		return err
	}
	h, err := p.o.Hooks.AttachIsolating(l.Index, k.Receive)
	if errors.Is(err, unix.ENODEV) {
		return nil // a NIC that is gone receives nothing; it joins again when it is back
	}
	p.hooks[id] = h
	return err
}

// yieldMember hands over what a member receives, and then frames for the relay to the ring. A NIC that is gone receives
// nothing, which is no error.
func (p *Path) yieldMember(k *kernel, id int, l *team.Link) error {
	if err := p.relay.YieldMember(id, &k.control.ReceiveGate[id]); err != nil {
		if relay.IsGone(err) {
			return nil
		}
		return err
	}
	return p.leaveSocket(k, id, l)
}

// regainMember takes a member's reception back.
func (p *Path) regainMember(k *kernel, id int) error {
	err := p.relay.RegainMember(id, &k.control.ReceiveGate[id])
	if errors.Is(err, relay.ErrNoMember) {
		return nil
	}
	return err
}

// regainAll takes the reception of all members back at the same time: each waits for what is on its way, and for the
// kernel to listen again.
func (p *Path) regainAll(k *kernel, links *[spread.MaxMembers]*team.Link) error {
	errs := make([]error, spread.MaxMembers)
	var all sync.WaitGroup
	for id, l := range links {
		if l != nil {
			all.Go(func() { errs[id] = p.regainMember(k, id) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// dropMember detaches the programs from a member. The relay has its reception, or it leaves: then it does not receive
// from here on.
func (p *Path) dropMember(k *kernel, id int, l *team.Link) error {
	var errs []error
	if h := p.hooks[id]; h != nil {
		errs = append(errs, h.Close())
		p.hooks[id] = nil
	}
	errs = append(errs, p.dropRing(id, l))
	atomic.StoreUint32(&k.control.ReceiveGate[id], relay.GateSlow)
	p.mu.Lock()
	k.devices[id] = 0
	p.mu.Unlock()
	if err := p.relay.SetSocketFilter(id, -1); err != nil && !errors.Is(err, relay.ErrNoMember) {
		errs = append(errs, err)
	}
	if err := k.dropMember(l.Index); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// yield hands over all directions concurrently.
func (p *Path) yield(k *kernel) error {
	errs := make([]error, spread.MaxMembers+1)
	var all sync.WaitGroup
	for id, l := range p.links {
		if l != nil {
			all.Go(func() { errs[id] = p.yieldMember(k, id, l) })
		}
	}
	errs[spread.MaxMembers] = p.relay.Yield(&k.control.TransmitGate)
	all.Wait()
	return errors.Join(errs...)
}

// Disengage takes all frames back to the relay and unloads the programs.
func (p *Path) Disengage() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	return p.disengage()
}

func (p *Path) disengage() error {
	p.mu.Lock()
	if h := p.inherited; h != nil { // no Plan came
		p.inherited = nil
		p.takeBack(h)
	}
	k, links := p.kernel, p.links
	p.mu.Unlock()
	if k == nil {
		return nil
	}
	errs := []error{p.relay.Regain(&k.control.TransmitGate)}
	p.backlog.stopPolling()
	errs = append(errs, p.reports.close())
	p.reports = nil
	p.mu.Lock()
	sent := k.stations.recent()
	p.mu.Unlock()
	p.relay.NoteSentByPrograms(sent) // before the relay receives reflected frames
	p.relay.SetSentByPrograms(nil)
	errs = append(errs, p.regainAll(k, &links))
	for id, l := range links {
		if l != nil {
			errs = append(errs, p.dropMember(k, id, l))
		}
	}
	if p.egress != nil {
		errs = append(errs, p.egress.Close())
		p.egress = nil
	}
	k.unstore(p.o.Store)
	k.waitForPrograms()
	// The flow table goes on, in memory of this process.
	kept := new(spread.TxState)
	if err := p.relay.DoWithPicker(func(pk *spread.Picker, _ int64) { pk.KeepIn(kept) }); err != nil {
		errs = append(errs, err)
	}
	p.mu.Lock()
	p.pastCounts.read(k, p.everJoined)
	p.keepRxBytes(k)
	k.addMoved(&p.pastMoved, p.everJoined)
	p.kernel, p.inForce, p.unfit = nil, nil, nil
	p.mu.Unlock()
	return errors.Join(append(errs, k.close())...)
}
