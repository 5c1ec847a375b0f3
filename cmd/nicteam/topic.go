// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"nicteam/internal/settings"
)

// A topicRow is a line of the topic of a setting; code is to be typed as it is.
type topicRow struct {
	name, text string
	code       bool
}

// topicRows say of a setting what can be said in one line each. nicteam help KEY and nicteam.yaml(5) print them.
func topicRows(s *settings.Setting) (rows []topicRow) {
	row := func(name, text string) { rows = append(rows, topicRow{name: name, text: text}) }
	code := func(name, text string) { rows = append(rows, topicRow{name, text, true}) }
	row("values", allowed(s))
	row("default", orNone(s.Default()))
	row("mode", s.Where())
	row("effect", s.When())
	if s.Kernel != "" {
		row("bonding", s.Kernel)
	}
	if !s.NoFile {
		code("create", exampleCreate(s))
	}
	if s.Live {
		set := s.Key
		if s.PerNIC {
			set += ".eth1"
		}
		code("set", "nicteam set team0 "+set+"="+s.Example)
	}
	if !s.NoFile {
		code("file", exampleFile(s))
		code("env", exampleVariable(s))
	}
	return rows
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// exampleCreate is a create with the example of a setting, in a mode that takes it.
func exampleCreate(s *settings.Setting) string {
	line := "nicteam create team0 eth1 eth2"
	if s.Key == "team" || s.Key == "members" {
		return line
	}
	for _, kv := range exampleNeeds(s) {
		key, value, _ := strings.Cut(kv, "=")
		line += " --" + flagName(settings.Find(key)) + " " + value
	}
	value := s.Example
	if s.PerNIC {
		value = "eth1=" + value
	}
	return line + " --" + flagName(s) + " " + value
}

// exampleNeeds are what else the example of a setting needs, as KEY=VALUE.
func exampleNeeds(s *settings.Setting) (list []string) {
	if s.Mode != 0 && s.Mode.String() != settings.Find("mode").Default() {
		list = append(list, "mode="+s.Mode.String())
	}
	if s.With != "" {
		list = append(list, s.With)
	}
	return list
}

// exampleFile is the line of a file.
func exampleFile(s *settings.Setting) string {
	switch {
	case s.PerNIC:
		return fmt.Sprintf("members: [{name: eth1, %s: %s}, eth2]", s.Key, s.Example)
	case s.Type == settings.NICs, s.Type == settings.List:
		return fmt.Sprintf("%s: [%s]", s.Key, strings.ReplaceAll(s.Example, ",", ", "))
	}
	return s.Key + ": " + s.Example
}

// exampleVariable is the variable of the environment.
func exampleVariable(s *settings.Setting) string {
	value := s.Example
	if s.PerNIC {
		value = "eth1=" + value
	}
	return "NICTEAM_" + strings.ToUpper(s.Key) + "=" + value
}

// settingTopic is the help of one setting.
func settingTopic(s *settings.Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", settingKey(s), s.Help)
	for _, r := range topicRows(s) {
		fmt.Fprintf(&b, "  %-9s%s\n", r.name, r.text)
		if r.name != "values" {
			continue
		}
		for _, w := range append(s.Words[:len(s.Words):len(s.Words)], s.Stems...) {
			if s.Says[w] != "" {
				fmt.Fprintf(&b, "           %-16s%s\n", w, s.Says[w])
			}
		}
	}
	return b.String()
}
