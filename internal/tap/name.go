// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"strings"
)

// maxName is IFNAMSIZ less its zero byte. water cuts longer names silently.
const maxName = 15

// ValidName reports why name cannot name a network device, nil if it can. The rules are the kernel's
// dev_valid_name, and no '%', which the kernel would take for a pattern to number.
func ValidName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is needed")
	case len(name) > maxName:
		return fmt.Errorf("name %q is longer than %d bytes", name, maxName)
	case name == "." || name == "..":
		return fmt.Errorf("name %q is reserved", name)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte("/:%", c) >= 0 {
			return fmt.Errorf("name %q has an illegal character %q", name, c)
		}
	}
	return nil
}
