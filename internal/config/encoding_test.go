// SPDX-License-Identifier: MIT

package config

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"nicteam/internal/api"
)

// windows are the same settings in each format as an editor of Windows saves them.
var windows = map[string]string{
	"c.yaml": "\xef\xbb\xbf# Müller\r\nmode: active-backup\r\nmtu: 1400\r\nmembers:\r\n  - eth1\r\n  - {name: " +
		"eth2, weight: 2}\r\n",
	"c.toml": "\xef\xbb\xbf# Müller\r\nmode = \"active-backup\"\r\nmtu = 1400\r\nmembers = [\r\n  \"eth1\",\r\n " +
		" {name = \"eth2\", weight = 2},\r\n]\r\n",
	"c.json": "\xef\xbb\xbf{\"mode\":\"active-backup\",\r\n\"mtu\":1400,\r\n" +
		"\"members\":[\"eth1\",{\"name\":\"eth2\",\"weight\":2}]}\r\n",
}

func TestFilesOfWindows(t *testing.T) {
	for name, text := range windows {
		l, err := Load(Options{Team: "team0", Path: write(t, name, text)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c := l.Config; c.MTU != 1400 || c.Mode.String() != "active-backup" || len(c.Members) != 2 ||
			c.Members[1].Name != "eth2" || c.Members[1].Weight != 2 {
			t.Errorf("%s: %+v", name, c)
		}
		// A fault is on the line that the editor shows.
		path := write(t, name, strings.Replace(text, "1400", "14", 1))
		_, err = Load(Options{Team: "team0", Path: path})
		line := map[string]string{"c.yaml": ":3: ", "c.toml": ":3: ", "c.json": ":2: "}[name]
		if err == nil || !strings.Contains(problemOf(t, err).What, path+line+"mtu") {
			t.Errorf("%s: fault is told as %v", name, err)
		}
	}
}

func TestOtherEncodings(t *testing.T) {
	utf16le := func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return string(b)
	}
	for _, tt := range []struct{ name, text, line, why string }{
		{"little endian", "\xff\xfe" + utf16le("mode: xor\r\n"), ":1:", "UTF-16"},
		{"big endian", "\xfe\xff\x00m\x00o\x00d\x00e", ":1:", "UTF-16"},
		{"UTF-32", "\xff\xfe\x00\x00m\x00\x00\x00", ":1:", "UTF-32"},
		{"UTF-32, big endian", "\x00\x00\xfe\xff\x00\x00\x00m", ":1:", "UTF-32"},
		{"without a mark", utf16le("mode: xor\r\n"), ":1:", "UTF-16 without a byte order mark"},
		{"Latin-1", "mode: xor\n# M\xfcller\n", ":2:", "byte 0xfc is not UTF-8"},
		{"cut off in a character", "mode: xor\n# M\xc3", ":2:", "byte 0xc3 is not UTF-8"},
		{"two marks", "\xef\xbb\xbf\xff\xfe", ":1:", "UTF-16"},
	} {
		for _, ext := range []string{".yaml", ".toml", ".json"} {
			path := write(t, "c"+ext, tt.text)
			_, err := Load(Options{Path: path})
			if err == nil {
				t.Errorf("%s%s: loads", tt.name, ext)
				continue
			}
			p := problemOf(t, err)
			if p.Kind != api.Usage || !strings.HasPrefix(p.What, path+tt.line) || !strings.Contains(p.Why, tt.why) ||
				!strings.Contains(p.Fix, "UTF-8") {
				t.Errorf("%s%s: %+v", tt.name, ext, p)
			}
		}
	}
}
