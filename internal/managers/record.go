// SPDX-License-Identifier: MIT

package managers

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"nicteam/internal/atomicfile"
)

// record is what the next process of a team must know: once a member is left alone by its manager, nobody else knows
// how it was served. It is a hint: without it members are served as the manager then says.
type record struct {
	Networkd networkdRecord `json:"networkd,omitzero"`
	NM       nmRecord       `json:"networkmanager,omitzero"`
}

// nmRecord is what NetworkManager was told.
type nmRecord struct {
	NIC     string     `json:"nic"`     // in whose place it serves the adapter
	Members []nmMember `json:"members"` // that it leaves alone
}

// nmMember is a NIC with the profile by which it was served.
type nmMember struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

// networkdRecord is how the adapter is served.
type networkdRecord struct {
	NIC  string `json:"nic"`            // whose configuration the adapter has
	File string `json:"file"`           // its .network file
	IAID uint32 `json:"iaid,omitempty"` // of its DHCP client

	Members []string `json:"members"` // that systemd-networkd served

	Wrote string `json:"wrote,omitempty"` // SHA-256 of the adapter's file as it was written
}

func (t *Team) recordPath() string { return filepath.Join(t.o.StateDir, t.o.Team+".managers") }

// load reads the record; one that is missing or damaged is empty.
func (t *Team) load() (r record) {
	if text, err := os.ReadFile(t.recordPath()); err != nil || json.Unmarshal(text, &r) != nil {
		return record{}
	}
	return r
}

func (t *Team) save(r record) error {
	if reflect.DeepEqual(t.load(), r) {
		return nil
	}
	return atomicfile.Write(t.recordPath(), 0o640, func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
}

func (t *Team) saveNetworkd(n networkdRecord) error {
	r := t.load()
	r.Networkd = n
	return t.save(r)
}

// Forget removes what the team's next process would use.
func (t *Team) Forget() { atomicfile.Remove(t.recordPath()) }
