// SPDX-License-Identifier: MIT

package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// deniedHere exist on this architecture only.
var deniedHere []uint32
