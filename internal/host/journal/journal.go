// SPDX-License-Identifier: MIT

package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nicteam/internal/atomicfile"
	"nicteam/internal/rtnl"
)

// The journal is text: a line with format and version, then one record a line, each with its CRC-32C in front and a
// growing sequence number. See scan.go.
//
// Version 2 added records and fields. A program that knows only version 1 leaves the file alone.
const (
	journalHeader = "nicteam-journal"
	Version       = 2
)

// compactBeyond bounds how many octets a journal grows before it is compacted. A large one may double, because a NIC
// may have very many routes that come and go.
const compactBeyond = 4 << 10

// journalReserve is disk space reserved at the start, so that a disk that fills up later does not stop a team half-way.
const journalReserve = 256 << 10

// maxRecord bounds a line. A NIC with very many routes has a long record.
const maxRecord = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type Journal struct {
	Path       string
	file       *os.File
	reading          // of the existing file
	base       int64 // end after the last compaction
	State      State
	FaultPoint func(string) error
}

// PathOf returns the path of the team's journal.
func PathOf(dir, team string) string { return filepath.Join(dir, team+".journal") }

// Create makes a journal of these records. It is on disk when Create returns; until then an existing journal stays, and
// is then replaced.
func Create(path string, records []Record, at func(string) error) (_ *Journal, err error) {
	if err := at("create journal"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o640)
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
	j := &Journal{Path: path, file: f, FaultPoint: at}
	text := fmt.Appendln(nil, journalHeader, Version)
	for _, r := range records {
		j.seq++
		r.Seq = j.seq
		line, err := formatRecord(r)
		if err != nil {
			return nil, err
		}
		text = append(text, line...)
		j.State.Apply(r)
	}
	if _, err := f.Write(text); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := at("put journal in place"); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	if err := atomicfile.SyncDir(path); err != nil {
		return nil, err
	}
	j.end = int64(len(text))
	j.base, j.Version = j.end, Version
	return j, nil
}

// Open reads a journal. Writing continues after its last good record.
func Open(path string, at func(string) error) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	j := &Journal{Path: path, file: f, FaultPoint: at}
	if j.reading, err = scan(f, func(r Record, _ int64) { j.State.Apply(r) }); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	j.base = j.end
	return j, nil
}

// checksumLen is the length of a checksum and a space.
const checksumLen = 9

func formatRecord(r Record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s\n", sum(body), body), nil
}

func sum(body []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) }

// Write appends records, which a disk writes at once however many they are. When it returns nil they are on disk and
// part of the state; until then none of what they announce may be done, because any number of them, from the first one
// on, may be on disk. A record that the state implies is not written.
func (j *Journal) Write(records ...Record) error {
	var text []byte
	seq := j.seq
	var written []Record
	var death error
	for _, r := range records {
		if death = j.FaultPoint("journal " + string(r.Kind)); death != nil {
			break // the records before it may be on disk
		}
		// What the state implies of other kinds may change with the records before this one.
		if j.State.implies(r) && (len(written) == 0 || written[len(written)-1].Kind == r.Kind) {
			continue
		}
		seq++
		r.Seq = seq
		line, err := formatRecord(r)
		if err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		text, written = append(text, line...), append(written, r)
	}
	if len(text) == 0 {
		return death
	}
	if err := j.append(text); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.seq = seq
	for _, r := range written {
		j.State.Apply(r)
	}
	if death == nil && j.end > j.base+max(compactBeyond, j.base) {
		return j.Compact()
	}
	return death
}

// append writes whole lines to the end of the file, and waits for the disk.
func (j *Journal) append(text []byte) error {
	if err := j.cut(); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(text, j.end); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.end += int64(len(text))
	return nil
}

// Compact rewrites the journal with what its state needs. If that fails the old file goes on.
func (j *Journal) Compact() error {
	j.base = j.end // otherwise each record would try again
	next, err := Create(j.Path, j.State.Records(), j.FaultPoint)
	if err != nil {
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		return nil
	}
	next.State = j.State // its parts are in use
	j.file.Close()
	*j = *next
	return nil
}

// cut truncates behind the last good record, so that no old record follows a new one. Only if needed: truncating frees
// the reserved space.
func (j *Journal) cut() error {
	st, err := j.file.Stat()
	if err != nil || st.Size() == j.end {
		return err
	}
	return j.file.Truncate(j.end)
}

// Remove deletes the journal.
func (j *Journal) Remove() error {
	if err := j.FaultPoint("remove journal"); err != nil {
		return err
	}
	j.Close()
	if err := os.Remove(j.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(j.Path)
}

func (j *Journal) Close() { j.file.Close() }
