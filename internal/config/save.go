// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"nicteam/internal/atomicfile"
	"nicteam/internal/settings"
)

// Save writes a configuration as YAML that Load reads back to the same, 0640. Only one process may save a file at a
// time.
func Save(path string, c settings.Config) error {
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
			return fmt.Errorf("write %s: %w", path, err)
		}
		doc.Content = append(doc.Content, &key, &value)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Settings of the team %s; see: nicteam help config\n", c.Team)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.Write(path, 0o640, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
}
