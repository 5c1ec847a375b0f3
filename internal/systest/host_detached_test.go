// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"

	"nicteam/internal/lab/labtest"
)

// detachAll detaches every tcx program at a hook of a NIC of box, as `bpftool link detach` does, and returns how many.
func (w *world) detachAll(nic string, hook ebpf.AttachType) (n int) {
	w.t.Helper()
	// An ifindex is another NIC's in other namespaces.
	index, there := link(w.t, w.box, nic).Index, w.programs(nic, hook)
	look := func() error {
		it := &bpflink.Iterator{}
		defer it.Close()
		for it.Next() {
			info, err := it.Link.Info()
			if err != nil || info.TCX() == nil || int(info.TCX().Ifindex) != index ||
				ebpf.AttachType(info.TCX().AttachType) != hook || !slices.Contains(there, info.Program) {
				continue
			}
			if err := it.Link.Detach(); err != nil {
				return err
			}
			n++
		}
		return it.Err()
	}
	labtest.Must(w.t, w.box.Do(func() error {
		err := look()
		for errors.Is(err, os.ErrNotExist) { // a link of another test ended meanwhile
			err = look()
		}
		return err
	}))
	return n
}

// programNames are the names of the programs on a hook of a NIC of box.
func (w *world) programNames(nic string, hook ebpf.AttachType) (names []string) {
	w.t.Helper()
	for _, id := range w.programs(nic, hook) {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // it has just gone
		}
		if info, err := p.Info(); err == nil {
			names = append(names, info.Name)
		}
		_ = p.Close()
	}
	return names
}

// TestDetachedPrograms: programs that somebody detaches come back, and connections go on.
func TestDetachedPrograms(t *testing.T) {
	parallel(t)
	if !hasTCX(t) {
		t.Skip("needs Linux 6.6 for tcx")
	}
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	w.awaitDatapath("fastpath")
	conn := w.startEcho()
	for _, at := range []struct {
		nic  string
		hook ebpf.AttachType
	}{{"eth1", ebpf.AttachTCXIngress}, {teamName, ebpf.AttachTCXEgress}} {
		var names, now []string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("programs of %s were %q and are %q", at.nic, names, now)
			}
		})
		labtest.Eventually(t, "the program of the data path", func() bool {
			names = w.programNames(at.nic, at.hook)
			return len(names) == 1
		})
		if d := w.detachAll(at.nic, at.hook); d != 1 {
			t.Fatalf("%s: detached %d of %q", at.nic, d, names)
		}
		// A member is isolated again before the data path's program is back in that place.
		labtest.Eventually(t, "the programs are back", func() bool {
			now = w.programNames(at.nic, at.hook)
			return slices.Equal(now, names)
		})
		w.awaitDatapath("fastpath")
		conn.check(at.nic)
	}
	w.nicteam("delete", teamName)
}
