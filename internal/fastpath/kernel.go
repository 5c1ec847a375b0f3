// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/relay"
	"nicteam/internal/thread"
	"nicteam/modes/spread"
)

// kernel are the loaded programs and the memory that they share with this process.
type kernel struct {
	programObjects

	txState *spread.TxState
	plans   *[2]programPlan
	control *programControl
	cpus    []programCpuState // one a processor
	rxBytes *spread.RxBytes

	addresses addresses
	stations  stations
	mapped    [][]byte // unmapped by close

	layouts map[string]string // of the maps, by name

	layout  deviceLayout
	blind   error                     // why the programs do not look whether members have links; nil: they do
	devices [spread.MaxMembers]uint64 // the members' NICs, by findDevice; 0: not known
	finding sync.Mutex                // findDevice
}

// load loads the programs, which the kernel verifies, and attaches nothing.
func load() (*kernel, error) {
	spec, err := loadSpec()
	if err != nil {
		return nil, err
	}
	return loadFrom(spec, nil, waysToLook)
}

// loadSpec returns the programs as they are attached: the one that receives isolates the member, too.
func loadSpec() (*ebpf.CollectionSpec, error) {
	spec, err := loadProgram()
	if err != nil {
		return nil, fmt.Errorf("read programs: %w", err)
	}
	if err := spec.Variables["isolates"].Set(uint32(1)); err != nil {
		return nil, fmt.Errorf("set isolates: %w", err)
	}
	return spec, nil
}

// loadFrom loads spec with these maps, by name, in place of new ones.
func loadFrom(spec *ebpf.CollectionSpec, with map[string]*ebpf.Map, ways waysOf) (*kernel, error) {
	processors, err := setSizes(spec)
	if err != nil {
		return nil, err
	}
	k := &kernel{layouts: layoutsOf(spec)}
	makeDirect(spec)
	o := &ebpf.CollectionOptions{MapReplacements: with}
	priority := lowPriority
	if with != nil { // the control loop waits: partners and neighbours get no answers meanwhile
		priority = func(f func() error) error { return f() }
	}
	if err := priority(func() error { return k.loadSeeing(spec, o, ways) }); err != nil {
		return nil, fmt.Errorf("load programs: %w", err)
	}
	k.addresses.table, k.stations.table = k.Addresses, k.Stations
	err = errors.Join(
		mapArray(k, k.TxStates, 1, &k.txState),
		mapArray(k, k.Plans, 1, &k.plans),
		mapArray(k, k.Controls, 1, &k.control),
		mapArray(k, k.RxBytes, spread.RxClassCount, &k.rxBytes),
	)
	var first *programCpuState
	if err = errors.Join(err, mapArray(k, k.CpuStates, processors, &first)); err != nil {
		return nil, errors.Join(err, k.close())
	}
	k.cpus = unsafe.Slice(first, processors)
	return k, nil
}

// setSizes sets the sizes that depend on the machine.
func setSizes(spec *ebpf.CollectionSpec) (processors int, err error) {
	if processors, err = ebpf.PossibleCPU(); err != nil {
		return 0, fmt.Errorf("count processors: %w", err)
	}
	spec.Maps[programMapCpuStates].MaxEntries = uint32(processors)
	spec.Maps[programMapReports].MaxEntries = uint32(os.Getpagesize())
	return processors, nil
}

// mapArray maps the memory of an array map with so many entries, and points *to at the first.
func mapArray[T any](k *kernel, m *ebpf.Map, entries int, to **T) error {
	size := (int(m.ValueSize()) + 7) &^ 7 * entries
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %v: %w", m, err)
	}
	k.mapped = append(k.mapped, b)
	*to = (*T)(unsafe.Pointer(&b[0]))
	return nil
}

// close unloads the programs and unmaps the memory, which nobody may use any more.
func (k *kernel) close() error {
	var errs []error
	for _, b := range k.mapped {
		errs = append(errs, unix.Munmap(b))
	}
	return errors.Join(append(errs, k.programObjects.Close())...)
}

// waitForPrograms returns once each program that was running when it was called has ended, which takes a few
// microseconds.
func (k *kernel) waitForPrograms() {
	for i := range k.cpus {
		relay.WaitEpoch(&k.cpus[i].Transmitting)
		relay.WaitEpoch(&k.cpus[i].Receiving)
	}
}

// normalNice is the niceness of a process by default.
const normalNice = 0

// lowPriority runs f at normal priority. The kernel's verifier works for some tenths of a second without a pause, and
// on a thread of a team's process, which has a high priority, would take the processor from those that move frames. The
// thread ends with f: without CAP_SYS_NICE the process could not raise its priority again.
func lowPriority(f func() error) (err error) {
	thread.Ending(func() {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), normalNice)
		err = f()
	})
	return err
}
