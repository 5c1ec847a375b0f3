// SPDX-License-Identifier: MIT

// Package manual writes manual pages, in the man(7) macros that groff and mandoc know, from the texts that `nicteam
// help` prints. One text has two forms, so that a page cannot say something else than the program; for that a help
// text keeps to a few shapes:
//
//	a paragraph     lines without indentation
//	a list          indented lines: a name, two or more spaces, what it is; deeper lines go on with it
//	a table         a head of columns with two or more spaces between them, rows indented: one of the settings
//	code            other indented lines, and all that follow a paragraph that ends with "Examples:"
//
// Blank lines separate them.
package manual
