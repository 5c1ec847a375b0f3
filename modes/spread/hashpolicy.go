// SPDX-License-Identifier: MIT

package spread

import "fmt"

// HashPolicy names the fields of a frame that make a flow.
type HashPolicy uint8

// The policies, named as the kernel names them.
const (
	Layer34    HashPolicy = iota // layer3+4, the default
	Layer2                       // both MACs and the ethertype
	Layer23                      // MACs and addresses
	VLANSrcMAC                   // outer VLAN id and source MAC
)

var hashNames = [...]string{Layer34: "layer3+4", Layer2: "layer2", Layer23: "layer2+3", VLANSrcMAC: "vlan+srcmac"}

// hashAliases are the kernel's numbers and short forms.
var hashAliases = map[string]HashPolicy{
	"0": Layer2, "1": Layer34, "2": Layer23, "5": VLANSrcMAC,
	"l2": Layer2, "l34": Layer34, "l3+4": Layer34, "l23": Layer23, "l2+3": Layer23,
	"layer34": Layer34, "layer23": Layer23, "srcmac+vlan": VLANSrcMAC,
}

func (p HashPolicy) String() string {
	if int(p) < len(hashNames) {
		return hashNames[p]
	}
	return fmt.Sprintf("hash(%d)", uint8(p))
}

// HashPolicies returns all policies in the order of help.
func HashPolicies() []HashPolicy { return []HashPolicy{Layer2, Layer23, Layer34, VLANSrcMAC} }

// ParseHash reads a policy's name, or the kernel's number of it. The error is an *UnknownError.
func ParseHash(s string) (HashPolicy, error) {
	name := Normal(s)
	var known []string
	for _, p := range HashPolicies() {
		if name == p.String() {
			return p, nil
		}
		known = append(known, p.String())
	}
	if p, ok := hashAliases[name]; ok {
		return p, nil
	}
	return 0, Unknown("hash", s, known, nil)
}
