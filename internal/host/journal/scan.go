// SPDX-License-Identifier: MIT

package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ErrNewer says that a newer program wrote the journal. This one must neither use nor change it.
var ErrNewer = errors.New("written by a newer nicteam")

// reading is the result of reading a journal.
type reading struct {
	end     int64 // behind the last good record
	seq     int   // of the last good record
	Damaged []int // numbers of damaged lines
	Version int   // of the format
}

// scan calls each for every good record, with the offset behind it.
//
// A line is good if it is complete, its checksum is right and its number is higher than those before it. An incomplete
// last line was being written when the process or the power died. Any other bad line is damage: it is skipped, and the
// lines behind it still count, because each record is complete in itself. A line with a right checksum and unknown
// content is of a newer program.
func scan(r io.Reader, each func(r Record, end int64)) (reading, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var got reading
	first, err := readLine(in)
	at := int64(len(first)) + 1
	if err != nil {
		return got, nil // cut off in the first line: nothing was done yet
	}
	got.end = at
	if version, ok := strings.CutPrefix(string(first), journalHeader+" "); ok {
		if n, err := strconv.Atoi(version); err == nil && (n < 1 || n > Version) {
			return got, fmt.Errorf("format %d: %w", n, ErrNewer)
		} else if err != nil {
			got.Damaged = append(got.Damaged, 1)
		} else {
			got.Version = n
		}
	} else {
		got.Damaged = append(got.Damaged, 1)
	}
	for no := 2; ; no++ {
		line, err := readLine(in)
		if err != nil {
			return got, nil
		}
		at += int64(len(line)) + 1
		rec, err := parseRecord(line)
		if errors.Is(err, ErrNewer) {
			return got, fmt.Errorf("line %d: %w", no, err)
		}
		if err != nil || rec.Seq <= got.seq {
			got.Damaged = append(got.Damaged, no)
			continue
		}
		if rec.Seq != got.seq+1 && !slices.Contains(got.Damaged, no-1) {
			got.Damaged = append(got.Damaged, no-1) // a line is missing
		}
		got.end, got.seq = at, rec.Seq
		each(rec, at)
	}
}

// readLine reads a line without its newline; with io.EOF it returns what was left.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case err != bufio.ErrBufferFull:
			return line, io.EOF
		case len(line) > maxRecord:
			return nil, io.EOF
		}
	}
}

var errRecord = errors.New("no record")

// parseRecord parses a line. errRecord: the checksum is wrong; ErrNewer: the checksum is right and the content unknown.
func parseRecord(line []byte) (r Record, err error) {
	if len(line) < checksumLen || line[checksumLen-1] != ' ' {
		return r, errRecord
	}
	body := line[checksumLen:]
	if string(line[:checksumLen-1]) != sum(body) {
		return r, errRecord
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil || !r.Kind.known() || r.Member != nil && !r.Member.WellFormed() || r.Config != nil &&
		!r.Config.wellFormed() {
		return r, ErrNewer
	}
	return r, nil
}
