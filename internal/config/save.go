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
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for i := range settings.Table {
		s := &settings.Table[i]
		if s.NoFile || s.PerNIC || s.LeftOut(&c) {
			continue
		}
		v := s.Get(&c)
		if v == nil || v == "" {
			continue
		}
		var key, value yaml.Node
		key.SetString(s.Key)
		if err := value.Encode(v); err != nil {
			return "", err
		}
		doc.Content = append(doc.Content, &key, &value)
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
