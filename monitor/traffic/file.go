// SPDX-License-Identifier: MIT

package traffic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"nicteam/internal/frame"
)

// The file format: magic, version, number of protocols; as varints the names, each with its length, the number of
// coarse blocks, the coarse blocks, the number of fine blocks, the fine blocks, each block with start, length and data;
// last the CRC-32C of all that, little endian.
const (
	magic   = "nicteam traffic\n"
	version = 1
	maxName = 64 // bytes
)

var (
	// ErrForeign: not a history, or of another version.
	ErrForeign = errors.New("not a history of this version")
	// ErrDamaged: the checksum or a record is wrong.
	ErrDamaged = errors.New("the history is damaged")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes the file that Read reads.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	o := &checksumWriter{w: w}
	b := append([]byte(magic), version, byte(frame.Protocols))
	b = binary.AppendUvarint(b, uint64(len(s.names)))
	for _, name := range s.names {
		name = name[:min(len(name), maxName)]
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	for _, blocks := range [][]block{s.coarse, s.fine} {
		b = binary.AppendUvarint(b, uint64(len(blocks)))
		for i := range blocks {
			b = binary.AppendUvarint(b, uint64(blocks[i].start))
			b = binary.AppendUvarint(b, uint64(len(blocks[i].data)))
			o.write(b)
			o.write(blocks[i].data)
			b = b[:0]
		}
	}
	o.write(b)
	o.write(binary.LittleEndian.AppendUint32(nil, o.sum))
	return o.n, o.err
}

// checksumWriter writes and sums up until the first error.
type checksumWriter struct {
	w   io.Writer
	n   int64
	sum uint32
	err error
}

func (o *checksumWriter) write(b []byte) {
	if o.err != nil {
		return
	}
	n, err := o.w.Write(b)
	o.n += int64(n)
	o.sum = crc32.Update(o.sum, castagnoli, b)
	o.err = err
}

// Read reads what WriteTo wrote. On an error, which is ErrForeign or ErrDamaged, the history is empty and can be used.
// b is not kept.
func Read(b []byte) (*History, error) {
	head := append([]byte(magic), version, byte(frame.Protocols))
	if !bytes.HasPrefix(b, head) {
		return New(), ErrForeign
	}
	end := len(b) - crc32.Size
	if end < len(head) || crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return New(), ErrDamaged
	}
	h, err := parse(b[len(head):end])
	if err != nil {
		return New(), fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return h, nil
}

func parse(b []byte) (*History, error) {
	h := New()
	r := &reader{b: b}
	names := r.uvarint()
	if names > maxNames {
		return nil, errCorrupt
	}
	known := map[string]bool{}
	for range names {
		name := string(r.bytes(maxName))
		if r.bad || known[name] {
			return nil, errCorrupt
		}
		known[name] = true
		h.names = append(h.names, name)
	}
	h.bases = make([]base, len(h.names))
	for _, g := range []*ring{&h.coarse, &h.fine} {
		blocks := r.uvarint()
		for range blocks {
			start := r.uvarint()
			data := r.bytes(len(r.b))
			if r.bad || start > maxSpan || int64(start) < g.end() {
				return nil, errCorrupt
			}
			block := block{start: int64(start), data: data}
			if err := block.check(g.coarse, len(h.names)); err != nil {
				return nil, err
			}
			g.appendBlock(block)
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, errCorrupt
	}
	return h, nil
}

// bytes reads a length, at most most, and that many bytes.
func (r *reader) bytes(most int) []byte {
	n := r.uvarint()
	if r.bad || n > uint64(most) || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
