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

// ErrNewer says that a journal is of a newer program: it must neither be used nor be changed by this one.
var ErrNewer = errors.New("it was written by a newer nicteam")

// reading is what reading a journal came to.
type reading struct {
	end     int64 // behind the last good record
	seq     int   // of that
	Damaged []int // lines that are not as they were written
	Version int   // of the format
}

// scan calls each for every good record of a journal, with the offset behind it.
//
// A line is good if it is whole, its checksum is right and its number is higher than those before it. What is no line at the
// end was being written when the power or the process went. Any other that is not good is damaged: it is left out, and those
// behind it still count, for each says all that it means. One whose checksum is right and that says something unknown is of
// a newer program.
func scan(r io.Reader, each func(r Record, end int64)) (reading, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var got reading
	first, err := readLine(in)
	at := int64(len(first)) + 1
	if err != nil {
		return got, nil // cut off within the first line: nothing can have been done under it
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
			got.Damaged = append(got.Damaged, no-1) // a line that is not there at all
		}
		got.end, got.seq = at, rec.Seq
		each(rec, at)
	}
}

// readLine reads a line that ends in a newline, without it; io.EOF comes with what was left.
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

// parseRecord reads a line. A wrong checksum is errRecord; what is right by its checksum and not understood is ErrNewer.
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
	if d.Decode(&r) != nil || !r.Kind.known() || r.Member != nil && !r.Member.WellFormed() || r.Config != nil && !r.Config.wellFormed() {
		return r, ErrNewer
	}
	return r, nil
}
