// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// The parts of CycloneDX 1.5 (ECMA-424) that are written.
type (
	bom struct {
		BOMFormat    string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		SerialNumber string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     bomMetadata  `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	bomMetadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		BOMRef   string    `json:"bom-ref"`
		Type     string    `json:"type"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		Hashes   []hash    `json:"hashes,omitempty"`
		Licences []licence `json:"licenses,omitempty"`
		PURL     string    `json:"purl,omitempty"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	licence struct {
		License licenceID `json:"license"`
	}
	licenceID struct {
		ID string `json:"id"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// sbom lists the modules that the Go linker recorded in a binary, with the licences of docs/licences.md.
func sbom(binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile("docs/licences.md")
	if err != nil {
		return nil, err
	}
	at, err := sourceDate()
	if err != nil {
		return nil, err
	}
	own, err := version()
	if err != nil {
		return nil, err
	}
	doc := bom{BOMFormat: "CycloneDX", SpecVersion: "1.5", Version: 1}
	sum := sha256.Sum256(content)
	doc.Metadata = bomMetadata{at.Format(time.RFC3339), component{BOMRef: "nicteam", Type: "application",
		Name: "nicteam-linux-" + setting(info, "GOARCH"), Version: own, Licences: []licence{{licenceID{"MIT"}}},
		Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sum)}}}}
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562), by the binary
	doc.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	if doc.Components, err = components(info, parseLicences(table)); err != nil {
		return nil, err
	}
	d := dependency{Ref: "nicteam"}
	for _, c := range doc.Components {
		d.DependsOn = append(d.DependsOn, c.BOMRef)
	}
	doc.Dependencies = []dependency{d}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// components are Go itself and the modules. One whose licence is not known is an error.
func components(info *buildinfo.BuildInfo, licences map[string][]licence) (list []component, _ error) {
	golang, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	modules := []*debug.Module{{Path: "std", Version: golang}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, m)
	}
	for _, m := range modules {
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		c := component{BOMRef: purl, Type: "library", Name: m.Path, Version: m.Version, PURL: purl,
			Licences: licences[m.Path]}
		if m.Path == "std" {
			c.Licences = licences["Go standard library and runtime"]
		}
		if len(c.Licences) == 0 {
			return nil, fmt.Errorf("%s: not in docs/licences.md", m.Path)
		}
		list = append(list, c)
	}
	return list, nil
}

func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// parseLicences reads the table of docs/licences.md: module, version, licences with "and" between them.
func parseLicences(table []byte) map[string][]licence {
	list := map[string][]licence{}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| module") {
			continue
		}
		ids := strings.Split(strings.TrimSuffix(cells[2], " |"), " and ")
		slices.Sort(ids)
		for _, id := range ids {
			key := strings.TrimPrefix(cells[0], "| ")
			list[key] = append(list[key], licence{licenceID{id}})
		}
	}
	return list
}
