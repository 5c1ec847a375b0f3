// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"nicteam/internal/atomicfile"
	"nicteam/internal/boot"
)

// The next process of a team reads what this one has written: documents of JSON with a schema each, and the history.
// Each has a parser that refuses what no process can have written; a document that is refused is as good as none.

// stateMode is for root, and for the group of those who may read the state of teams.
const stateMode = 0o640

// readState reads a file of the process before, of at most that many bytes. It follows no link.
func readState(path string, most int64) ([]byte, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > most {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", path, most)
	}
	return os.ReadFile(path)
}

// writeState writes a document for the next process, also one after a crash of the host.
func writeState(path string, document any) error {
	return atomicfile.Write(path, stateMode, func(w io.Writer) error { return json.NewEncoder(w).Encode(document) })
}

// bootID is the ID of this boot, "" if the kernel does not tell it.
func bootID() string {
	id, _ := boot.ID()
	return id
}
