// SPDX-License-Identifier: MIT

package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"nicteam/internal/settings"
)

// ReadText returns the text of a configuration file. Its error is that of the file system.
func ReadText(path string) (string, error) {
	b, err := readFile(path)
	return string(b), err
}

// WriteText writes the text of a configuration file, 0640. Only one process may write a file at a time.
func WriteText(path, text string) error { return writeText(path, text) }

// Digest names the text of a file, so that who replaces it can say which one was read.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseFor is Parse of YAML that a person wrote for a team, which need not say its name. The team is of at least one
// NIC.
func ParseFor(team, name, text string) (settings.Config, error) {
	l, c, f, err := parseFor(team, name, text)
	if err != nil {
		return c, err
	}
	if f == nil {
		f = settings.Validate(&c)
	}
	switch {
	case f != nil:
	case c.Team != team:
		f = &settings.Fault{Key: "team", What: fmt.Sprintf("want %s, got %s", team, c.Team),
			Why: "a team keeps its name", Fix: fmt.Sprintf("write  team: %s, or leave the line out", team)}
	case len(c.Members) == 0:
		f = &settings.Fault{Key: "members", What: "no NIC given", Why: "a team is made of at least one",
			Fix: "write  members: [NIC, NIC]"}
	default:
		return c, nil
	}
	where := l.where(f.Key)
	if where == "" {
		where = name + ":1"
	}
	return settings.Config{}, problem(f, where)
}

// parseFor reads YAML that need not name its team. The error is one of the text, the fault one of what it says.
func parseFor(team, name, text string) (*loader, settings.Config, *settings.Fault, error) {
	l := newLoader(name)
	if p := l.document([]byte(text), readYAML, "yaml"); p != nil {
		return l, settings.Config{}, nil, p
	}
	if !l.v.IsSet("team") {
		l.v.Set("team", team)
	}
	c, f := l.config(Options{RealName: sameName})
	return l, c, f, nil
}

// WriteEdited writes a text that a person made into the file of a configuration: as it is if it says c, else with the
// lines changed that do not.
func WriteEdited(path, text string, c settings.Config) error {
	if says, err := ParseFor(c.Team, "", text); err == nil && sameSettings(&says, &c) {
		return writeText(path, text)
	}
	if made, ok := updated(text, &c); ok {
		return writeText(path, made)
	}
	return Update(path, c)
}
