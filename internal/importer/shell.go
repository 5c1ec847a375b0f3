// SPDX-License-Identifier: MIT

package importer

import "strings"

// parseShell reads a file of NAME=VALUE lines that a shell would source: quotes and backslashes are the shell's,
// nothing is expanded. Lines of another form are left out.
func parseShell(file, text string) (list []Entry) {
	line := 1
	for rest := text; rest != ""; {
		began := line
		var words []string
		words, rest, line = shellLine(rest, line)
		if len(words) > 0 && words[0] == "export" {
			words = words[1:]
		}
		for _, w := range words {
			name, value, ok := strings.Cut(w, "=")
			if !ok || !isShellName(name) {
				break
			}
			list = append(list, Entry{Key: name, Typed: name, Value: value, At: Place{file, began}})
		}
	}
	return list
}

// shellLine returns the words of the first line, what follows it, and the number of the next line. Quotes may go on
// over several lines.
func shellLine(s string, line int) (list []string, rest string, next int) {
	var word strings.Builder
	inWord := false
	end := func() {
		if inWord {
			list = append(list, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\n':
			end()
			return list, s[i+1:], line + 1
		case c == ' ' || c == '\t' || c == '\r' || c == ';':
			end()
		case c == '#' && !inWord:
			for i+1 < len(s) && s[i+1] != '\n' {
				i++
			}
		case c == '\\' && i+1 < len(s):
			if i++; s[i] == '\n' {
				line++
				continue
			}
			word.WriteByte(s[i])
			inWord = true
		case c == '\'' || c == '"':
			inWord = true
			for i++; i < len(s) && s[i] != c; i++ {
				if c == '"' && s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\\\"$`\n", s[i+1]) >= 0 {
					if i++; s[i] == '\n' {
						line++
						continue
					}
				}
				if s[i] == '\n' {
					line++
				}
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	return list, "", line + 1
}

func isShellName(s string) bool {
	for i, r := range s {
		if !(r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}
