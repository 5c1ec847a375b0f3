// SPDX-License-Identifier: MIT

// Package ha has the configuration files of docs/ha.md, which tests and the demo use as they are.
package ha

import "embed"

// Files are below the server that they are for; those of both directors are at the top.
//
//go:embed vs1 vsbak equal1 equal2 *.conf *.nft *.cfg *.sh
var Files embed.FS
