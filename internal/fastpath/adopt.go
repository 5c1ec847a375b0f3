// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// How a Path goes on where the process before it ended, without losing, doubling or reordering a frame. The programs of
// that process have moved frames all the time, by the maps and the Plan that it left.
//
//  1. Adopt loads the programs of this build with those maps and replaces the one on the adapter in place. Gates stay
//     as they are. A direction whose program is not attached any more, or that was just being handed over, goes to the
//     relay, whose goroutines are held: its frames wait.
//  2. Join opens each member: the relay goes on with its socket; socket filter and program are replaced in place. Still
//     the programs follow the Plan of before.
//  3. The first Apply puts a Plan in force by which both go on. From here on the relay moves what is for it. Directions
//     that are not the programs' are handed over in the background.
//
// The programs of this build cannot use maps of another layout. Then step 1 only finds the gates, the programs of
// before go on until the first Apply, and that takes all directions back to the relay, which has a Plan then. Engage
// loads new programs later. If not even the gates are found, their programs are detached at that moment, and what is
// received in between is lost.

// Adopt returns a Path that goes on where the process before this one ended without Close: killed, or after HandOver.
// o.Relay was made with Hold, o.Store has what that process left, and o.Hooks have its programs. If it left nothing, it
// is New.
//
// Until the first Apply no Plan of this process is in force. The caller joins all members that are to go on, with the
// ids that they had, and then applies the complete Plan. Send, Counters, Engaged and the other methods work before. An
// id or a NIC that differs from that process's costs its member a handover, no frame.
//
// The Path is usable in any case. An error says why the programs do not go on, such as maps of another build: from the
// first Apply on the relay moves the frames, until Engage.
func Adopt(o Options) (*Path, error) {
	p := New(o)
	h := &inheritance{maps: map[string]*ebpf.Map{}, layouts: map[string]string{}, gatesAt: map[string]string{},
		ids: map[int]int{}, renumber: map[int]int{}}
	defer h.closeUnused()
	err := h.take(p.o.Store)
	if err == nil && len(h.maps) == 0 && !p.o.Hooks.Inherited(o.Adapter.Index(), ebpf.AttachTCXEgress) {
		p.inherited = h // the members' sockets may have a filter still
		return p, nil
	}
	if err == nil {
		err = p.adoptPrograms(h)
	}
	if err == nil {
		p.inherited = h
		return p, nil
	}
	if e := p.findGates(h); e != nil {
		err = errors.Join(err, e)
	}
	p.inherited = h
	return p, fmt.Errorf("adopt programs: %w", err)
}

// inheritance is what the process before left, until the first Plan.
type inheritance struct {
	maps     map[string]*ebpf.Map // by name, closed when Adopt returns
	layouts  map[string]string    // of maps
	gatesAt  map[string]string    // of maps: their gatesLayout
	names    []string             // in the store
	ids      map[int]int          // member ids by ifindex
	renumber map[int]int          // ids by ifindex of members that have joined with another one
	programs bool                 // this build's, adopted

	gates  *programControl // of programs that were not adopted; nil: none, or not found
	memory []byte          // gates'
}

// take takes all maps from the store.
func (h *inheritance) take(s descriptors.Store) error {
	var errs []error
	for _, name := range s.Names() {
		if !descriptors.IsMap(name) {
			continue
		}
		h.names = append(h.names, name)
		fd, ok := s.Take(name)
		if !ok {
			continue
		}
		layout, mapName, ok := descriptors.Layout(name)
		mapName, at, _ := strings.Cut(mapName, ".")
		if !ok || h.maps[mapName] != nil {
			unix.Close(fd)
			errs = append(errs, fmt.Errorf("descriptor %s is not known", name))
			continue
		}
		m, err := ebpf.NewMapFromFD(fd)
		if err != nil {
			errs = append(errs, fmt.Errorf("map %s: %w", mapName, err))
			continue
		}
		h.maps[mapName], h.layouts[mapName], h.gatesAt[mapName] = m, layout, at
	}
	return errors.Join(errs...)
}

// closeUnused closes the maps: programs that use them have their own reference.
func (h *inheritance) closeUnused() {
	for _, m := range h.maps {
		_ = m.Close()
	}
	h.maps = nil
}

// fits checks that each map of spec is there with the same layout, and no other.
func (h *inheritance) fits(spec *ebpf.CollectionSpec) error {
	for name, want := range layoutsOf(spec) {
		switch layout := h.layouts[name]; {
		case layout == "":
			return fmt.Errorf("map %s is missing", name)
		case layout != want:
			return fmt.Errorf("map %s has the layout of another version", name)
		}
	}
	for name := range h.maps {
		if spec.Maps[name] == nil {
			return fmt.Errorf("map %s is another version's", name)
		}
	}
	return nil
}

// adoptPrograms loads the programs of this build with the maps of the process before.
func (p *Path) adoptPrograms(h *inheritance) error {
	spec, err := loadSpec()
	if err != nil {
		return err
	}
	if _, err := setSizes(spec); err != nil {
		return err
	}
	if err := h.fits(spec); err != nil {
		return err
	}
	k, err := loadFrom(spec, h.maps, waysToLook)
	if err != nil {
		return err
	}
	if err := p.useKernel(h, k); err != nil {
		return errors.Join(err, k.close())
	}
	return nil
}

// useKernel makes k, whose maps are those of the process before, the programs of the Path.
func (p *Path) useKernel(h *inheritance, k *kernel) error {
	adapter := p.o.Adapter.Index()
	if was := int(k.control.Adapter); was != adapter {
		return fmt.Errorf("the programs are of an adapter with ifindex %d, not %d", was, adapter)
	}
	active := &k.plans[k.control.Active&1]
	if err := errors.Join(k.addresses.adopt(active.View&1), k.stations.adopt(), h.readMembers(k.Members)); err != nil {
		return err
	}
	k.takeUnattached(h, p.o.Hooks, adapter)
	transmits := atomic.LoadUint32(&k.control.TransmitGate) == relay.GateFast
	if err := p.relay.AdoptPicker(k.txState, spread.Rule(active.Rule), spread.MemberSet(active.Distributing),
		transmits); err != nil {
		return err
	}
	egress, err := p.o.Hooks.Attach(adapter, ebpf.AttachTCXEgress, k.Transmit)
	if err != nil {
		return p.dropPicker(fmt.Errorf("adapter: %w", err))
	}
	p.relay.SetSentByPrograms(k.stations.sentRecently)
	p.egress, p.kernel, h.programs = egress, k, true
	for _, id := range h.ids {
		p.everJoined = p.everJoined.With(id)
	}
	return nil
}

// dropPicker moves the Picker's state out of the maps, which are about to go, and returns why.
func (p *Path) dropPicker(why error) error {
	err := p.relay.DoWithPicker(func(pk *spread.Picker, _ int64) { pk.KeepIn(new(spread.TxState)) })
	return errors.Join(why, err)
}

// readMembers reads which NIC is which member.
func (h *inheritance) readMembers(members *ebpf.Map) error {
	var index, id uint32
	all := members.Iterate()
	for all.Next(&index, &id) {
		if id < spread.MaxMembers {
			h.ids[int(index)] = int(id)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read members: %w", err)
	}
	return nil
}

// takeUnattached gives all directions to the relay whose program is not attached any more, or that were not the
// programs' before.
func (k *kernel) takeUnattached(h *inheritance, hooks Attacher, adapter int) {
	var attached spread.MemberSet
	for index, id := range h.ids {
		if hooks.Inherited(index, ebpf.AttachTCXIngress) {
			attached = attached.With(id)
		}
	}
	take := func(gate *uint32, attached bool) {
		if !attached || !relay.ByPrograms(atomic.LoadUint32(gate)) {
			atomic.StoreUint32(gate, relay.GateSlow)
		}
	}
	for id := range k.control.ReceiveGate {
		take(&k.control.ReceiveGate[id], attached.Has(id))
	}
	take(&k.control.TransmitGate, hooks.Inherited(adapter, ebpf.AttachTCXEgress))
	k.waitForPrograms()
}

// joinInherited makes the programs receive by a member, before the first Plan. The caller holds changing.
func (p *Path) joinInherited(h *inheritance, k *kernel, id int, l *team.Link) error {
	was, known := h.ids[l.Index]
	if !h.programs { // takeBack follows
		gate := relay.GateSlow
		if known && h.gates != nil {
			gate = atomic.LoadUint32(&h.gates.ReceiveGate[was])
		}
		return p.adoptRing(nil, id, l, gate)
	}
	device := p.findDevice(k, l).address
	p.mu.Lock()
	k.devices[id] = device
	p.mu.Unlock()
	err := p.attachMember(k, id, l)
	if known && err == nil {
		err = p.adoptReception(k, id, l, &k.control.ReceiveGate[was], was != id)
	}
	if !known || was != id {
		// It is another member for the programs: the relay receives for it until settle.
		h.renumber[l.Index] = id
	}
	if err != nil {
		p.mu.Lock()
		p.unfit = fmt.Errorf("member %s: %w", l.Name, err) // settle falls back
		p.mu.Unlock()
	}
	return nil
}

// adoptReception goes on with the gate of a member that has joined. slow: the relay receives for it from here on.
func (p *Path) adoptReception(k *kernel, id int, l *team.Link, gate *uint32, slow bool) (err error) {
	switch {
	case slow && !listens(gate):
		err = p.relay.Listen(id)
	case listens(gate): // perhaps since the program was not attached any more
		err = p.relay.EnsureListening(id)
	}
	if slow {
		atomic.StoreUint32(gate, relay.GateSlow)
	}
	if err == nil {
		err = p.adoptRing(k, id, l, atomic.LoadUint32(gate))
	}
	if relay.IsGone(err) {
		return nil // it receives nothing any more
	}
	return err
}

// renumberMembers makes NICs the members that they have joined as. All that had one of these ids have joined with
// another one, or not at all.
func (h *inheritance) renumberMembers(k *kernel, links *[spread.MaxMembers]*team.Link) error {
	for index, id := range h.renumber {
		if l := links[id]; l == nil || l.Index != index {
			delete(h.renumber, index) // it has left meanwhile
			continue
		}
		atomic.StoreUint32(&k.control.ReceiveGate[id], relay.GateSlow)
	}
	k.waitForPrograms()
	for index, id := range h.renumber {
		if err := k.setMember(index, id); err != nil {
			return err
		}
		h.ids[index] = id
	}
	return nil
}

// findGates finds the gates of programs that this build does not go on with.
func (p *Path) findGates(h *inheritance) (err error) {
	control, ids := h.maps[programMapControls], h.maps[programMapMembers]
	if h.gatesAt[programMapControls] != gatesLayout || h.gatesAt[programMapMembers] != gatesLayout {
		return errors.New("their gates are not found")
	}
	size := (int(control.ValueSize()) + 7) &^ 7
	if end := int(unsafe.Offsetof(programControl{}.ReceiveGate)) + 4*spread.MaxMembers; size < end {
		return fmt.Errorf("their gates are not found: %v is too small", control)
	}
	if h.memory, err = unix.Mmap(control.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map gates: %w", err)
	}
	// Of its fields only the gates are known to be where this build has them.
	h.gates = (*programControl)(unsafe.Pointer(&h.memory[0]))
	return h.readMembers(ids)
}

// takeBack makes the relay, which has a Plan now, move all frames, if the programs of the process before were not
// adopted. The caller holds mu.
func (p *Path) takeBack(h *inheritance) {
	if h.programs {
		return
	}
	if h.gates != nil {
		atomic.StoreUint32(&h.gates.TransmitGate, relay.GateSlow)
	}
	var all sync.WaitGroup
	for id, l := range p.links {
		if l != nil {
			all.Go(func() { p.takeBackMember(h, id, l) })
		}
	}
	p.detachInherited(p.o.Adapter.Index(), ebpf.AttachTCXEgress)
	all.Wait()
	for _, name := range h.names {
		_ = p.o.Store.Remove(name)
	}
	if h.memory != nil {
		_ = unix.Munmap(h.memory)
		h.gates, h.memory = nil, nil
	}
}

// takeBackMember makes the relay receive all frames of a member. The program goes before the socket filter, whose
// decision it follows. Without the gate what comes between the two is lost.
func (p *Path) takeBackMember(h *inheritance, id int, l *team.Link) {
	if was, known := h.ids[l.Index]; known && h.gates != nil {
		_ = p.relay.RegainMember(id, &h.gates.ReceiveGate[was]) // a NIC that is gone receives nothing
	}
	_ = p.relay.EnsureListening(id)
	p.detachInherited(l.Index, ebpf.AttachTCXIngress)
	if err := p.relay.SetSocketFilter(id, -1); err != nil && !relay.IsGone(err) {
		p.log.Warn("socket filter of the process before not removed", "member", l.Name, "err", err)
	}
	if err := p.dropRing(id, l); err != nil {
		p.log.Warn("ring of the process before not closed", "member", l.Name, "err", err)
	}
}

func (p *Path) detachInherited(index int, hook ebpf.AttachType) {
	if err := p.o.Hooks.DetachInherited(index, hook); err != nil {
		p.log.Warn("program of the process before not detached", "ifindex", index, "err", err)
	}
}

// settle hands to the programs what is not theirs yet, now that a Plan is in force, and starts what a Path does while
// it is engaged. What nobody has adopted is closed.
func (p *Path) settle(h *inheritance) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.relay.DropInherited()
	p.mu.Lock()
	k, links := p.kernel, p.links
	p.mu.Unlock()
	if k == nil || p.reports != nil {
		return // it was disengaged, or engaged anew, meanwhile
	}
	err := p.unfitness()
	if err == nil {
		err = h.renumberMembers(k, &links)
	}
	if err == nil {
		err = h.dropMembers(k, &links)
	}
	if err == nil {
		err = p.yieldRest(k, &links)
	}
	if err == nil {
		p.reports, err = p.readReports(k)
	}
	if err != nil {
		p.fallBack(err)
		return
	}
	if p.backlog.stop == nil { // a member that joined since the first Plan has started it
		p.backlog.start(p, k)
	}
}

// dropMembers removes NICs that did not join again.
func (h *inheritance) dropMembers(k *kernel, links *[spread.MaxMembers]*team.Link) error {
	for index, id := range h.ids {
		if l := links[id]; l != nil && l.Index == index {
			continue
		}
		if links[id] == nil {
			atomic.StoreUint32(&k.control.ReceiveGate[id], relay.GateSlow)
		}
		joined := false
		for _, l := range links {
			joined = joined || l != nil && l.Index == index
		}
		if joined {
			continue
		}
		if err := k.dropMember(index); err != nil {
			return err
		}
	}
	return nil
}

// yieldRest hands over the directions that are not the programs' yet, and frames for the relay to the rings.
func (p *Path) yieldRest(k *kernel, links *[spread.MaxMembers]*team.Link) error {
	errs := make([]error, spread.MaxMembers+1)
	var all sync.WaitGroup
	for id, l := range links {
		if l != nil {
			all.Go(func() { errs[id] = p.yieldMember(k, id, l) })
		}
	}
	if atomic.LoadUint32(&k.control.TransmitGate) != relay.GateFast {
		errs[spread.MaxMembers] = p.relay.Yield(&k.control.TransmitGate)
	}
	all.Wait()
	return errors.Join(errs...)
}

// HandOver ends the moving of frames by this process, for the next one to go on with Adopt: the relay has passed on
// each frame that it read, and programs go on by the Plan in force. After it this process ends, without Close.
func (p *Path) HandOver() {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.closed = true
	p.relay.Stop()
}
