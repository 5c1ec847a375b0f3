package api

// List is the document nicteam.list/v1.
type List struct {
	Schema string       `json:"schema"`
	Teams  []ListedTeam `json:"teams"`
	NICs   []ListedNIC  `json:"nics"`
}

// ListedTeam is a team of this host, running or not.
type ListedTeam struct {
	Name    string   `json:"name"`
	Running bool     `json:"running"`
	Mode    string   `json:"mode"`
	State   string   `json:"state"` // up, degraded, down, "not running", "no answer"
	Members []string `json:"members"`
}

// ListedNIC is a NIC of this host.
type ListedNIC struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MAC       string   `json:"mac"`
	Driver    string   `json:"driver"`
	Up        bool     `json:"up"`   // administratively
	Link      bool     `json:"link"` // carrier
	SpeedBps  uint64   `json:"speed_bps"`
	Duplex    string   `json:"duplex"`
	MTU       int      `json:"mtu"`
	Addresses []string `json:"addresses"`
	Owner     string   `json:"owner"`  // "team team0", "bridge br0", … or ""
	Kind      string   `json:"kind"`   // as rtnetlink has it: "bridge", "veth", "tun", …; "device" for hardware
	Uppers    []string `json:"uppers"` // VLANs, macvlans, … that stand on it
}
