package host

import "nicteam/internal/host/journal"

// search looks for NICs that the team's settings name, that look as members do, and of which a journal that has lost records does
// not say what they were. They get the defaults of the host, and can have what the adapter has.
func (b *back) search() {
	for _, name := range b.h.o.Members {
		if b.j.State.ByName(name) != nil {
			continue
		}
		n, err := b.h.nic(name)
		if err != nil || n.Master != "" || b.j.State.ByIdentity(n.Identity()) != nil {
			continue
		}
		if v, ok := readSysctl(n.Name, arpIgnore); !ok || v != memberARPIgnore {
			continue // it was not touched yet
		}
		was, err := b.h.readMember(n)
		if err != nil {
			continue
		}
		l, err := b.h.rt.Handle.LinkByIndex(n.Index)
		if err != nil {
			continue
		}
		was.Up, was.Features = true, nil
		for key := range was.Sysctls {
			if v, ok := readSysctl("default", key); ok && key != ipv6MTU {
				was.Sysctls[key] = v
			}
		}
		b.note("the journal says nothing of NIC %s: it gets the host's defaults", n.Name)
		b.by[n.Index] = n.Index
		b.add(&journal.MemberState{Member: was, Guessed: true}, l, n)
	}
}
