// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

var utf8BOM = []byte("\xef\xbb\xbf")

// plain returns the text of a file without the byte order mark that editors on Windows add. Line ends may be CRLF: each
// format accepts them. Encodings other than UTF-8 are refused here, since the errors of the formats name an invisible
// character.
func plain(b []byte) ([]byte, error) {
	b = bytes.TrimPrefix(b, utf8BOM)
	// UTF-32 first: its little-endian mark begins as that of UTF-16 does.
	for _, e := range []struct{ name, mark string }{
		{"UTF-32", "\xff\xfe\x00\x00"}, {"UTF-32", "\x00\x00\xfe\xff"}, {"UTF-16", "\xff\xfe"}, {"UTF-16", "\xfe\xff"},
	} {
		if bytes.HasPrefix(b, []byte(e.mark)) {
			return nil, encodingFault(1, "it is "+e.name+", and a configuration is UTF-8")
		}
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return nil, encodingFault(lineOf(b, i),
			"it has a zero byte: it is UTF-16 without a byte order mark, or no text at all")
	}
	if !utf8.Valid(b) {
		i := firstInvalid(b)
		return nil, encodingFault(lineOf(b, i), fmt.Sprintf("byte %#x is not UTF-8", b[i]))
	}
	return b, nil
}

// encodingFault is a syntax error that saving the file as UTF-8 fixes.
func encodingFault(line int, why string) error {
	return &syntax{line: line, msg: why, fix: "save it as UTF-8"}
}

func lineOf(b []byte, offset int) int { return 1 + bytes.Count(b[:offset], []byte{'\n'}) }

func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b) - 1
}
