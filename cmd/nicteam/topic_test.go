// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/config"
	"nicteam/internal/settings"
)

func printHelp(t *testing.T, words ...string) string {
	t.Helper()
	var out strings.Builder
	if code := execute(append([]string{"help"}, words...), &out, os.Stderr, nil); code != 0 {
		t.Fatalf("help %v: exit %d", words, code)
	}
	return out.String()
}

// TestTopicOfEachSetting: nicteam help has one by each name, with all that there is to say, and so has nicteam.yaml(5).
// What it says can be typed does work.
func TestTopicOfEachSetting(t *testing.T) {
	page := readPage(t, writeManual(t), "man5/nicteam.yaml.5")
	words := strings.Join(strings.Fields(page), " ")
	for i := range settings.Table {
		s := &settings.Table[i]
		topic := printHelp(t, s.Key)
		for _, name := range s.KernelNames() {
			if slices.Contains(verbs((&app{}).root()), name) { // bond also makes one
				continue
			}
			if printHelp(t, name) != topic || printHelp(t, strings.ReplaceAll(name, "_", "-")) != topic {
				t.Errorf("help %s is not that of %s", name, s.Key)
			}
		}
		rows := map[string]string{}
		for _, r := range topicRows(s) {
			rows[r.name] = r.text
			if r.text == "" {
				t.Errorf("%s: nothing is said of %s", s.Key, r.name)
			}
			if !regexp.MustCompile(`(?m)^  ` + r.name + ` +` + regexp.QuoteMeta(r.text) + `$`).MatchString(topic) {
				t.Errorf("help %s lacks %q", s.Key, r.text)
			}
			if !strings.Contains(words, strings.ReplaceAll(r.text, "µ", `\[u00B5]`)) {
				t.Errorf("nicteam.yaml(5) lacks %q of %s", r.text, s.Key)
			}
		}
		if s.Example == s.Default() {
			t.Errorf("%s: the example is the default", s.Key)
		}
		tryExamples(t, s, rows)
	}
}

// tryExamples loads what the topic of a setting says can be typed.
func tryExamples(t *testing.T, s *settings.Setting, rows map[string]string) {
	t.Helper()
	members := []string{"eth1", "eth2"}
	changed := func(how string, c settings.Config, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s: %v", s.Key, how, err)
			return
		}
		value := s.Text(&c)
		switch s.Key {
		case "team", "members", "undamp": // arguments; an action, of which nothing stays
		default:
			if value == s.Default() {
				t.Errorf("%s: %s changes nothing", s.Key, how)
			}
		}
	}
	var needs []config.Flag
	for _, kv := range exampleNeeds(s) {
		key, value, _ := strings.Cut(kv, "=")
		needs = append(needs, config.Flag{Key: key, Value: value})
	}
	if line, ok := rows["create"]; ok {
		cmd := (&app{}).createCmd()
		if err := cmd.ParseFlags(strings.Fields(line)[2:]); err != nil {
			t.Errorf("%s: %s: %v", s.Key, line, err)
		}
		args := cmd.Flags().Args()
		l, err := config.Load(config.Options{Team: args[0], Members: args[1:], Flags: givenSettings(cmd)})
		changed(line, loaded(l), err)
	}
	if line, ok := rows["env"]; ok {
		o := config.Options{Env: []string{line}, Flags: needs, Team: "team0", Members: members}
		switch s.Key {
		case "team":
			o.Team = ""
		case "members":
			o.Members = nil
		}
		l, err := config.Load(o)
		changed(line, loaded(l), err)
		if err == nil && len(l.Notes) > 0 {
			t.Errorf("%s: %s: %v", s.Key, line, l.Notes)
		}
	}
	if line, ok := rows["file"]; ok {
		var text strings.Builder
		text.WriteString(line + "\n")
		for _, other := range []string{"team: team0", "members: [eth1, eth2]"} {
			if key, _, _ := strings.Cut(other, ":"); !strings.HasPrefix(line, key+":") {
				text.WriteString(other + "\n")
			}
		}
		for _, n := range needs {
			text.WriteString(n.Key + ": " + n.Value + "\n")
		}
		c, err := config.Parse("team0.yaml", text.String())
		changed(line, c, err)
	}
	if line, ok := rows["set"]; ok {
		c := settings.DefaultConfig()
		c.Team, c.Members = "team0", []settings.MemberConfig{settings.DefaultMember("eth1"),
			settings.DefaultMember("eth2")}
		changes, err := pairs(append(strings.Fields(line)[3:], exampleNeeds(s)...))
		if err == nil {
			c, _, err = config.SetAll(c, changes)
		}
		changed(line, c, err)
	}
}

func loaded(l *config.Loaded) settings.Config {
	if l == nil {
		return settings.Config{}
	}
	return l.Config
}

// TestUnknownTopic names what is near, also of bonding and of modes.
func TestUnknownTopic(t *testing.T) {
	for _, tt := range [][]string{{"creat", `"create"`}, {"mimon", `"miimon"`}, {"weigth", `"weight"`},
		{"undam", `"undamp"`}, {"activ-backup", `"active-backup"`}, {"wacthes", `"watches"`}, {"zzzz", "it is not"}} {
		var said strings.Builder
		if code := execute([]string{"help", tt[0]}, io.Discard, &said, nil); code != 2 ||
			!strings.Contains(said.String(), tt[1]) {
			t.Errorf("help %s: exit %d, %s", tt[0], code, said.String())
		}
	}
	modes := strings.TrimSpace(printHelp(t, "modes"))
	if printHelp(t, "round-robin") != modes+"\n" || printHelp(t, "balance-xor") != modes+"\n" {
		t.Error("the name of a mode does not lead to the modes")
	}
	if got := printHelp(t, "set", "hash"); got != printHelp(t, "hash") {
		t.Errorf("help set hash: %s", got)
	}
}
