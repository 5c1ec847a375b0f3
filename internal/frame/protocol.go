package frame

// Protocol is the class under which a frame is counted and shown.
type Protocol uint8

// The classes; their sum is the total.
const (
	TCP Protocol = iota
	UDP
	ICMP // ICMP and ICMPv6 but for neighbour discovery
	ARP
	ND // IPv6 neighbour discovery, router discovery included
	LACP
	Other
	Protocols int = iota // how many there are
)

var protocolNames = [Protocols]string{"tcp", "udp", "icmp", "arp", "ipv6-nd", "lacp", "other"}

func (p Protocol) String() string { return protocolNames[p] }
