// SPDX-License-Identifier: MIT

// Package settings says what can be configured of a team: [Config] holds the values, and [Table] has a row a setting.
// All that names a setting derives from its row: the readers of files, variables and flags, nicteam set, the bounds at
// start and live, status, events, help, completion and docs/settings.md. To add one, add a field to Config with its
// default in [DefaultConfig], and a row.
package settings

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/modes"
)

// Setting is a row of the table.
type Setting struct {
	// in files; a flag with dashes, a variable in capitals after NICTEAM_; in JSON durations end with _ns
	Key    string
	Kernel string     // bonding's names of it, with commas; accepted where people type
	Help   string     // what it is for, in one line
	Mode   modes.Kind // the only mode that uses it; 0: every mode
	Strict bool       // refused in other modes than Mode, and not in their files
	Live   bool       // nicteam set takes it
	NoFile bool       // only nicteam set takes it
	PerNIC bool       // belongs to a member: weight.eth1=2 live, --weight eth1=2, a key of the member in files
	Event  string     // the event that tells of a change; "": setting-changed
	// an allowed value that is not the default, for help; With is another setting that it needs, as KEY=VALUE
	Example, With string
	Effect        string // when a value takes effect, where that is not what When says of others
	value
}

// value says how the value of a setting is written, and where a Config has it. A setting of a member has it in
// Config.Members[0]; see [Setting.SetMember].
type value struct {
	Type   Type
	Values string                    // what is allowed, for help: "0s to 1s", "on or off"
	Words  []string                  // the same where it is a choice, for completion
	Stems  []string                  // how further values begin, for completion: arp:
	Says   map[string]string         // what words and stems mean, where that is known
	Others []string                  // further spellings of words, for completion
	get    func(*Config) any         // string, bool, int, float64 or a list, as files have it; nil: not set
	set    func(*Config, any) *Fault // any as a file has it, or text; bounds are not looked at
	check  func(*Config) *Fault      // the bounds; nil: all values of the type
	json   func(*Config) any         // nil: as get
}

// Type is what a value looks like.
type Type uint8

// The types.
const (
	Text      Type = iota
	Word           // text, or a number that names the same: mode 1
	Whole          // a whole number
	Number         // with a fraction, perhaps
	OnOff          // or true and false
	AutoOnOff      // auto, or as OnOff
	Duration       // a number and its unit
	List           // of text, or text with commas
	NIC            // the name of a member, or none
	NICs           // a list of names, or of {name, weight, port_priority}
)

var typeNames = [...]string{
	Text: "text", Word: "text", Whole: "a whole number", Number: "a number", OnOff: "on or off",
	AutoOnOff: "auto, on or off",
	Duration:  "a duration with its unit, such as 100ms or 2s", List: "a list of text",
	NIC: "the name of a NIC", NICs: "a list of NIC names, or of {name, weight}",
}

// String says what a value of the type has to be.
func (t Type) String() string { return typeNames[t] }

// Set gives c the value v: text, or what a file has. Bounds are Check's.
func (s *Setting) Set(c *Config, v any) *Fault { return s.fault(s.set(c, v)) }

// Check returns the fault of the value that c has, nil when it is allowed.
func (s *Setting) Check(c *Config) *Fault {
	if s.check == nil {
		return nil
	}
	return s.fault(s.check(c))
}

// fault names the setting in a fault.
func (s *Setting) fault(f *Fault) *Fault {
	if f != nil {
		f.Key = s.Key + f.Key
	}
	return f
}

// Get returns the value as a file has it: string, bool, int, float64 or a list; nil when it is not set.
func (s *Setting) Get(c *Config) any { return s.get(c) }

// Text returns the value as people write it, "" when it is not set.
func (s *Setting) Text(c *Config) string {
	switch v := s.get(c).(type) {
	case nil:
		return ""
	case bool:
		return onOff(v)
	case []string:
		return strings.Join(v, ",")
	default:
		return fmt.Sprint(v)
	}
}

// JSON returns the value as documents have it: durations in ns, lists as text with commas.
func (s *Setting) JSON(c *Config) any {
	if s.json != nil {
		return s.json(c)
	}
	return s.get(c)
}

// JSONKey is the name of the setting in documents.
func (s *Setting) JSONKey() string {
	if s.Type == Duration {
		return s.Key + "_ns"
	}
	return s.Key
}

// Default returns the default as people write it, "" for none.
func (s *Setting) Default() string {
	if s.Type == NICs {
		return ""
	}
	return shorten(s.Text(defaults()))
}

// Foreign returns the fault of a setting that was given and that the mode of c refuses, nil otherwise.
func (s *Setting) Foreign(c *Config) *Fault {
	if s.Mode == 0 || s.Mode == c.Mode || !s.LeftOut(c) {
		return nil
	}
	return &Fault{Key: s.Key, What: fmt.Sprintf("is not for mode %v", c.Mode),
		Why: fmt.Sprintf("it is a setting of mode %v", s.Mode),
		Fix: fmt.Sprintf("use mode %v, or leave it out", s.Mode)}
}

// LeftOut reports whether the file of c has no such setting: its mode would refuse it. receive_balance: on, the
// default, is in no file, as all modes but elb refuse it: people change the mode in the file, or by a flag.
func (s *Setting) LeftOut(c *Config) bool {
	if s.Key == receiveBalance {
		return c.ReceiveBalance
	}
	return s.Strict && s.Mode != c.Mode
}

// Where says in which modes the setting counts.
func (s *Setting) Where() string {
	switch {
	case s.Mode == 0:
		return "every mode"
	case s.Key == receiveBalance: // see LeftOut
		return s.Mode.String() + "; others refuse on"
	case s.Strict:
		return s.Mode.String() + "; others refuse it"
	}
	return s.Mode.String() + "; no effect in others"
}

// When says when a value takes effect.
func (s *Setting) When() string {
	switch {
	case s.Effect != "":
		return s.Effect
	case s.Live:
		return "at once, while the team runs"
	}
	return "when the team is made; to change it, delete the team and create it again"
}

// Find returns the row of a key, nil when there is none.
func Find(key string) *Setting {
	for i := range Table {
		if Table[i].Key == key {
			return &Table[i]
		}
	}
	return nil
}

// Canonical returns the key for what people type: dashes for underscores, bonding's names, and what stands behind a dot
// as it is.
func Canonical(typed string) string {
	name, nic, perNIC := strings.Cut(typed, ".")
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for i := range Table {
		if s := &Table[i]; s.hasKernelName(name) && s.PerNIC == (perNIC || s.PerNIC) {
			name = s.Key
			break
		}
	}
	if perNIC {
		return name + "." + nic
	}
	return name
}

// Validate returns the first fault of c, nil when it makes sense. What only the host knows, such as which NICs there
// are, is not looked at. The name of the team comes last, for what a file has wrong is worth more than that it has no
// name.
func Validate(c *Config) *Fault {
	if f := checkAll(c, func(s *Setting) bool { return !s.PerNIC && s.Key != "team" }); f != nil {
		return f
	}
	return Find("team").Check(c)
}

// CheckLive is Validate of what nicteam set changes, except names of NICs: the control loop knows which members there
// are.
func CheckLive(c *Config) *Fault {
	return checkAll(c, func(s *Setting) bool { return s.Live && !s.PerNIC && s.Type != NIC })
}

func checkAll(c *Config, wanted func(*Setting) bool) *Fault {
	for i := range Table {
		if s := &Table[i]; wanted(s) {
			if f := s.Check(c); f != nil {
				return f
			}
		}
	}
	return nil
}

// Keys lists the keys that a file may have, sorted.
func Keys() []string {
	return keysOf(func(s *Setting) bool { return !s.NoFile && !s.PerNIC })
}

// LiveKeys lists what nicteam set takes, sorted; settings of members as weight.NIC.
func LiveKeys() []string {
	return keysOf(func(s *Setting) bool { return s.Live })
}

// Names lists all names of settings that people may type: keys, and bonding's.
func Names() (list []string) {
	for i := range Table {
		list = append(append(list, Table[i].Key), Table[i].KernelNames()...)
	}
	return list
}

func keysOf(wanted func(*Setting) bool) (list []string) {
	for i := range Table {
		s := &Table[i]
		switch {
		case !wanted(s):
		case s.PerNIC:
			list = append(list, s.Key+".NIC")
		default:
			list = append(list, s.Key)
		}
	}
	slices.Sort(list)
	return list
}
