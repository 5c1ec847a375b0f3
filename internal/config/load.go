package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// maxFile bounds a file; 64 members with all settings are 4 KiB.
const maxFile = 256 << 10

// Options say where a configuration comes from. What is empty has no say.
type Options struct {
	Team    string   // the command's argument
	Members []string // the command's arguments; weights of a file stay with NICs that both name
	Flags   []Flag
	Env     []string // as os.Environ gives it
	Path    string   // a file: .yaml, .yml, .toml or .json
	New     bool     // the team is to be made: it needs a NIC

	// RealName is the name of the NIC that is called so or has it as an altname; nil: names are what they are.
	RealName func(string) string
}

// Flag is a setting from the command line.
type Flag struct {
	Key   string // as in a file, or weight with NIC=N
	Value string
}

// Loaded is a validated configuration and what its user should know about it.
type Loaded struct {
	Config  settings.Config
	Notes   []string
	Ignored []string // those of Notes that are about variables that are no settings

	// RandomSystem says that lacp_system was asked to be random, and drawn just now.
	RandomSystem bool
}

// Load reads, merges and validates. Its errors are *api.Problem.
func Load(o Options) (*Loaded, error) {
	if o.RealName == nil {
		o.RealName = func(name string) string { return name }
	}
	l := loader{real: o.RealName, v: newViper(), origin: map[string]string{}, weights: map[string]float64{}, priorities: map[string]int{}}
	for _, step := range []func(Options) *api.Problem{l.file, l.env, l.flags} {
		if p := step(o); p != nil {
			return nil, p
		}
	}
	d := written(settings.DefaultConfig())
	if err := l.decode(&d); err != nil {
		return nil, &api.Problem{Code: api.Usage, What: "read the configuration", Why: err.Error(), Fix: "nicteam help config", Err: err}
	}
	d.rename(o.RealName)
	if p := l.weigh(&d); p != nil {
		return nil, p
	}
	d.receiveGiven, d.lacpGiven = l.v.IsSet("receive_balance"), l.lacpGiven()
	c, f := d.config()
	if f == nil {
		f = validate(c)
	}
	if f == nil && o.New && len(c.Members) == 0 {
		f = &fault{what: "no NIC given", why: "a team is made of at least one", fix: "nicteam create " + c.Team + " NIC [NIC...]; nicteam list shows the NICs of this host"}
	}
	if f != nil {
		return nil, f.problem(l.where(o, f.key))
	}
	return &Loaded{Config: c, Notes: l.notes(o, c), Ignored: l.foreign, RandomSystem: strings.EqualFold(d.LACPSystem, "random")}, nil
}

// newViper has a delimiter that no key has: names of NICs have dots.
func newViper() *viper.Viper { return viper.NewWithOptions(viper.KeyDelimiter("::")) }

// loader is one load. Its viper is fresh and ends with it.
type loader struct {
	v          *viper.Viper
	real       func(string) string
	lines      lines
	origin     map[string]string // top key → flag or variable
	weights    map[string]float64
	priorities map[string]int
	foreign    []string // variables that look like settings and are none
	below      document // what the file and the environment say without the command line
}

func (l *loader) file(o Options) *api.Problem {
	if o.Path == "" {
		return nil
	}
	read, kind := readerFor(o.Path)
	if read == nil {
		return &api.Problem{Code: api.Usage, What: "read " + o.Path, Why: "its name does not say its format", Fix: "name it .yaml, .toml or .json"}
	}
	b, err := readFile(o.Path)
	if err != nil {
		return fileProblem(o.Path, err)
	}
	var root *node
	if b, err = plain(b); err == nil {
		root, err = read(b)
	}
	var bad *syntax
	if errors.As(err, &bad) {
		fix := bad.fix
		if fix == "" {
			fix = "correct line " + itoa(int64(bad.line)) + "; examples: nicteam help config"
		}
		return &api.Problem{Code: api.Usage, What: fmt.Sprintf("%s:%d: cannot be read", o.Path, bad.line), Why: bad.msg, Fix: fix, Err: err}
	}
	var f *fault
	if l.lines, f = check(root); f != nil {
		if f.line == 0 {
			f.line = l.lines.of(f.key)
		}
		return f.problem(fmt.Sprintf("%s:%d", o.Path, f.line))
	}
	l.v.SetConfigType(kind)
	if err := l.v.ReadConfig(bytes.NewReader(b)); err != nil {
		return &api.Problem{Code: api.Usage, What: "read " + o.Path, Why: err.Error(), Fix: "examples: nicteam help config", Err: err}
	}
	return nil
}

func readerFor(path string) (func([]byte) (*node, error), string) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return readYAML, "yaml"
	case ".toml":
		return readTOML, "toml"
	case ".json":
		return readJSON, "json"
	}
	return nil, ""
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it is larger than %d KiB", maxFile>>10)
	}
	return b, err
}

func fileProblem(path string, err error) *api.Problem {
	p := &api.Problem{Code: api.Usage, What: "read " + path, Why: err.Error(), Fix: "name a file that exists and can be read", Err: err}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		p.Why = pe.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) {
		p.Code = api.NotPermitted
	}
	return p
}

func (l *loader) flags(o Options) *api.Problem {
	if err := l.decode(&l.below); err != nil {
		return &api.Problem{Code: api.Usage, What: "read " + o.Path, Why: err.Error(), Fix: "examples: nicteam help config", Err: err}
	}
	for _, fl := range o.Flags {
		name := "--" + strings.ReplaceAll(fl.Key, "_", "-")
		if f, ok := l.perNIC(fl.Key, fl.Value); ok {
			if f != nil {
				return f.problem(name)
			}
			l.origin[fl.Key] = name
			continue
		}
		s := find(rows, fl.Key)
		if s == nil {
			return unknown("", fl.Key, rows).problem(name)
		}
		v, f := parseText(s, fl.Value)
		if f != nil {
			return f.problem(name)
		}
		l.v.Set(s.key, v)
		l.origin[s.key] = name
	}
	if o.Team != "" {
		l.v.Set("team", o.Team)
		l.origin["team"] = ""
	}
	if len(o.Members) > 0 {
		list := []any{}
		for _, n := range o.Members {
			w, p := 1.0, modes.DefaultPortPriority
			for _, m := range l.below.Members {
				if l.real(m.Name) == l.real(n) {
					w, p = m.Weight, m.PortPriority
				}
			}
			list = append(list, map[string]any{"name": n, "weight": w, portPriority: p})
		}
		l.v.Set("members", list)
		l.origin["members"] = ""
	}
	return nil
}

// decode takes every value as it is; nothing unknown passes.
func (l *loader) decode(d *document) error {
	return l.v.UnmarshalExact(d, func(c *mapstructure.DecoderConfig) {
		c.WeaklyTypedInput = false
		c.ZeroFields = true
		c.DecodeHook = mapstructure.DecodeHookFuncType(lenient)
	})
}

// perNIC takes in what flags and variables say of single NICs. It reports whether the key is of that kind.
func (l *loader) perNIC(key, value string) (*fault, bool) {
	switch key {
	case "weight":
		w, f := parseWeights(value)
		maps.Copy(l.weights, w)
		return f, true
	case portPriority:
		p, f := parsePriorities(value)
		maps.Copy(l.priorities, p)
		return f, true
	}
	return nil, false
}

// weigh gives what flags and variables say of single NICs to the members they name.
func (l *loader) weigh(d *document) *api.Problem {
	for _, nic := range sortedKeys(l.weights) {
		m := d.member(l.real(nic))
		if m == nil {
			return stranger("weight", nic, d).problem(l.origin["weight"])
		}
		m.Weight = l.weights[nic]
	}
	for _, nic := range sortedKeys(l.priorities) {
		m := d.member(l.real(nic))
		if m == nil {
			return stranger(portPriority, nic, d).problem(l.origin[portPriority])
		}
		m.PortPriority = l.priorities[nic]
	}
	return nil
}

func (d *document) member(nic string) *member {
	for i := range d.Members {
		if d.Members[i].Name == nic {
			return &d.Members[i]
		}
	}
	return nil
}

func stranger(key, nic string, d *document) *fault {
	var names []string
	for _, m := range d.Members {
		names = append(names, m.Name)
	}
	return &fault{kind: api.NotFound, key: key, what: fmt.Sprintf("%q is not a member", nic), why: "the members are " + orNone(names) + nearest.Hint(nic, names), fix: "name a member"}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// where is the place that a setting came from.
func (l *loader) where(o Options, key string) string {
	top := key
	if i := strings.IndexAny(key, ".["); i >= 0 {
		top = key[:i]
	}
	if name, ok := l.origin[top]; ok {
		return name
	}
	if _, ok := l.lines[top]; ok && top != "" {
		return fmt.Sprintf("%s:%d", o.Path, l.lines.of(key))
	}
	return ""
}

func (l *loader) notes(o Options, c settings.Config) []string {
	notes := slices.Clone(l.foreign)
	if o.New && len(c.Members) == 1 {
		notes = append(notes, "one NIC only: nothing takes over when it fails; add another: nicteam add "+c.Team+" NIC")
	}
	return notes
}

func contains(list []string, s string) bool {
	for _, w := range list {
		if w == s {
			return true
		}
	}
	return false
}
