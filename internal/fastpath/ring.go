// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is a BPF ring buffer by which the program on a member passes frames for the relay (bpf/ring.h), a nic.Ring.
// Its two positions are in shared memory, so that the next process reads on where this one ended.
//
// The layout is that of kernel/bpf/ringbuf.c: a page with the consumer's position, one with the producer's, and the
// records. The kernel would map these twice in a row, so that a record is never in two pieces, and a member would cost
// twice the memory.
type ring struct {
	m                  *ebpf.Map
	consumer, producer []byte // mapped
	records            []byte // of producer
	size               uint64
	joined             []byte // the pieces of a record that begins at the end and goes on at the beginning
}

const (
	// ringSize is room for 800 frames of ARP, or 450 LACPDUs: what comes while no process runs. All of it is resident.
	ringSize = 64 << 10
	// ringHeader is RING_HEADER of bpf/layout.h.
	ringHeader = 8

	// of a record: length and flags, then where its page is
	recordHeader  = 8
	recordBusy    = 1 << 31 // not written yet
	recordDiscard = 1 << 30
)

func newRing() (*ring, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: ringSize})
	if err != nil {
		return nil, fmt.Errorf("make ring: %w", err)
	}
	return openRing(m)
}

// adoptRing goes on with the ring of the process before. It owns fd.
func adoptRing(fd int) (*ring, error) {
	m, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		return nil, fmt.Errorf("adopt ring: %w", err)
	}
	if m.Type() != ebpf.RingBuf {
		return nil, errors.Join(fmt.Errorf("adopt ring: %v is not one", m), m.Close())
	}
	return openRing(m)
}

// openRing maps the memory of m, which it owns.
func openRing(m *ebpf.Map) (r *ring, err error) {
	page, size := os.Getpagesize(), m.MaxEntries() // another build may have made it
	r = &ring{m: m, size: uint64(size)}
	if r.consumer, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		r.producer, err = unix.Mmap(m.FD(), int64(page), page+int(size), unix.PROT_READ, unix.MAP_SHARED)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map ring: %w", err), r.close())
	}
	r.records = r.producer[page:]
	return r, nil
}

func (r *ring) close() error {
	errs := []error{r.m.Close()}
	for _, b := range [][]byte{r.consumer, r.producer} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	return errors.Join(errs...)
}

// FD implements nic.Ring.
func (r *ring) FD() int { return r.m.FD() }

// Read implements nic.Ring.
func (r *ring) Read(b []byte) (n int, tpid, tci uint16) {
	consumer := (*uint64)(unsafe.Pointer(&r.consumer[0]))
	producer := (*uint64)(unsafe.Pointer(&r.producer[0]))
	for at := atomic.LoadUint64(consumer); at < atomic.LoadUint64(producer); {
		head := r.records[at&(r.size-1):]
		state := atomic.LoadUint32((*uint32)(unsafe.Pointer(&head[0])))
		if state&recordBusy != 0 {
			return 0, 0, 0
		}
		length := uint64(state &^ recordDiscard)
		if state&recordDiscard == 0 {
			n, tpid, tci = copyFrame(b, r.record(head[recordHeader:], length))
		}
		at += (recordHeader + length + 7) &^ 7
		atomic.StoreUint64(consumer, at)
		if n > 0 {
			return n, tpid, tci
		}
	}
	return 0, 0, 0
}

// record returns the record that begins with at, which ends with the ring, and may go on at its beginning.
func (r *ring) record(at []byte, length uint64) []byte {
	if length <= uint64(len(at)) {
		return at[:length]
	}
	r.joined = append(append(r.joined[:0], at...), r.records[:length-uint64(len(at))]...)
	return r.joined
}

// copyFrame copies the frame in a record, a struct ring_frame without what is not used of it, to b. n is 0 if it has
// none that fits.
func copyFrame(b, record []byte) (n int, tpid, tci uint16) {
	if len(record) < ringHeader {
		return 0, 0, 0
	}
	length := binary.NativeEndian.Uint32(record[4:])
	if uint64(length) > uint64(len(record)-ringHeader) || uint64(length) > uint64(len(b)) {
		return 0, 0, 0
	}
	return copy(b, record[ringHeader:][:length]), binary.NativeEndian.Uint16(record),
		binary.NativeEndian.Uint16(record[2:])
}
