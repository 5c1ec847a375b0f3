// SPDX-License-Identifier: MIT

// Package ssh knows the connections of SSH sessions.
package ssh
