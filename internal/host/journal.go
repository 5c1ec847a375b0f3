package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The journal is text: a first line that names format and version, then a record a line, each with its CRC-32C
// in front. A line is used only if it is whole, its checksum is right and its number is the next one; the
// first that is not ends the journal, for it was being written when the power or the process went.
const journalHeader = "nicteam-journal 1"

// journalReserve is disk space taken at the beginning, so that a disk that fills up later does not
// stop a team half-way.
const journalReserve = 256 << 10

// A record of a NIC with very many routes is long; beyond this it is not a record.
const maxRecord = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errJournalVersion says that a journal was written by another version of the format.
var errJournalVersion = errors.New("unknown format of journal")

type journal struct {
	path  string
	file  *os.File
	end   int64 // of the last good record
	state state
	seq   int
	at    func(string) error
}

// journalPath is where the team's journal is.
func journalPath(dir, team string) string { return filepath.Join(dir, team+".journal") }

// createJournal makes an empty journal that is on disk when it returns.
func createJournal(path string, at func(string) error) (_ *journal, err error) {
	if err := at("create journal"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path + ".new")
		}
	}()
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, journalReserve)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, &os.PathError{Op: "reserve space for", Path: path, Err: err}
	}
	n, err := f.WriteString(journalHeader + "\n")
	if err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	if err := syncDir(path); err != nil {
		return nil, err
	}
	return &journal{path: path, file: f, end: int64(n), at: at}, nil
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// openJournal reads an existing journal as far as it is good and continues it there.
func openJournal(path string, at func(string) error) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, file: f, at: at}
	err = readJournal(f, func(r record, end int64) {
		j.state.apply(r)
		j.seq, j.end = r.Seq, end
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if j.end == 0 {
		j.end = int64(len(journalHeader) + 1)
	}
	return j, nil
}

// readJournal calls each for every good record, with the offset behind it. A journal that ends early is no error.
func readJournal(r io.Reader, each func(r record, end int64)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	line, err := readLine(in)
	if err != nil || string(line) != journalHeader {
		// Cut off within the first line: nothing can have been done under it.
		if strings.HasPrefix(journalHeader+"\n", string(line)) && len(line) < len(journalHeader)+1 && err == io.EOF {
			return nil
		}
		return errJournalVersion
	}
	end, seq := int64(len(line)+1), 0
	for {
		line, err := readLine(in)
		if err != nil {
			return nil
		}
		rec, ok := parseRecord(line)
		if !ok || rec.Seq != seq+1 {
			return nil
		}
		end, seq = end+int64(len(line))+1, rec.Seq
		each(rec, end)
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

// checksumLen is the length of a checksum and the space behind it.
const checksumLen = 9

func formatRecord(r record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s\n", sum(body), body), nil
}

func sum(body []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) }

func parseRecord(line []byte) (record, bool) {
	var r record
	if len(line) < checksumLen || line[checksumLen-1] != ' ' {
		return r, false
	}
	body := line[checksumLen:]
	if string(line[:checksumLen-1]) != sum(body) {
		return r, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return r, d.Decode(&r) == nil && (r.Member == nil || r.Member.wellFormed()) && (r.Late == nil || r.Late.wellFormed())
}

// write appends a record; when it returns without error the record is on disk and part of the state.
func (j *journal) write(r record) error {
	if err := j.at("journal " + string(r.Kind)); err != nil {
		return err
	}
	r.Seq = j.seq + 1
	line, err := formatRecord(r)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.cut(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.WriteAt(line, j.end); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.end += int64(len(line))
	j.seq = r.Seq
	j.state.apply(r)
	return nil
}

// cut takes away what lies behind the last good record, so that no old record comes to stand behind a
// new one. Only then: truncating gives the reserved space back.
func (j *journal) cut() error {
	st, err := j.file.Stat()
	if err != nil || st.Size() == j.end {
		return err
	}
	return j.file.Truncate(j.end)
}

// remove ends the journal for good.
func (j *journal) remove() error {
	if err := j.at("remove journal"); err != nil {
		return err
	}
	j.close()
	if err := os.Remove(j.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(j.path)
}

func (j *journal) close() { j.file.Close() }
