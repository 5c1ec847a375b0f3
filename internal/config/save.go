// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"nicteam/internal/atomicfile"
	"nicteam/internal/settings"
)

// Save writes a configuration as YAML that Load reads back to the same, 0640. Only one process may save a file at a
// time.
func Save(path string, c settings.Config) error {
	text, err := Text(c)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeText(path, fmt.Sprintf("# Settings of the team %s; see: nicteam help config\n%s", c.Team, text))
}

// Text is a configuration as YAML that Parse reads back to the same.
func Text(c settings.Config) (string, error) {
	return text(c, func(*settings.Setting) bool { return true }, encodeValue)
}

func encodeValue(s *settings.Setting, c *settings.Config) (*yaml.Node, error) {
	n := &yaml.Node{}
	err := n.Encode(s.Get(c))
	return n, err
}

// Brief is Text with team, members, mode, and what is not the default, for people.
func Brief(c settings.Config) (string, error) {
	standard := settings.DefaultConfig()
	return text(c, func(s *settings.Setting) bool {
		return s.Key == "team" || s.Type == settings.NICs || s.Key == "mode" || s.Text(&c) != s.Text(&standard)
	}, briefValue)
}

// briefValue has members by their names, if these say all.
func briefValue(s *settings.Setting, c *settings.Config) (*yaml.Node, error) {
	if s.Type != settings.NICs {
		return encodeValue(s, c)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, m := range c.Members {
		n, err := memberNode(m, c, true)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, n)
	}
	return list, nil
}

// text is a configuration with the wanted settings.
func text(c settings.Config, wanted func(*settings.Setting) bool,
	encodes func(*settings.Setting, *settings.Config) (*yaml.Node, error)) (string, error) {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for i := range settings.Table {
		s := &settings.Table[i]
		if s.NoFile || s.PerNIC || s.LeftOut(&c) || !wanted(s) {
			continue
		}
		v := s.Get(&c)
		if v == nil || v == "" {
			continue
		}
		var key yaml.Node
		key.SetString(s.Key)
		value, err := encodes(s, &c)
		if err != nil {
			return "", err
		}
		doc.Content = append(doc.Content, &key, value)
	}
	return encode(doc)
}

func encode(doc *yaml.Node) (string, error) {
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(doc)
	return b.String(), err
}

func writeText(path, text string) error {
	return atomicfile.Write(path, 0o640, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}
