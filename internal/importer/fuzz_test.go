// SPDX-License-Identifier: MIT

package importer

import (
	"os"
	"path/filepath"
	"testing"

	"nicteam/internal/config"
)

// seed adds the files of testdata that fit a pattern.
func seed(f *testing.F, pattern string) {
	f.Helper()
	paths, _ := filepath.Glob(filepath.Join("testdata", pattern))
	if len(paths) == 0 {
		f.Fatalf("no file is like %s", pattern)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
}

// checkConverts: whatever was read becomes a configuration that says the same when it is read again, or an error.
func checkConverts(t *testing.T, list []*Bond) {
	t.Helper()
	for _, b := range list {
		made, err := Convert(b)
		if err != nil {
			continue
		}
		text, err := config.Brief(made.Config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse("", text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
}

func FuzzTeamd(f *testing.F) {
	seed(f, "teamd-*/*.*")
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := readTeamd("f", readable([]byte(text)), "team0"); err == nil {
			checkConverts(t, []*Bond{b})
		}
	})
}

func FuzzNetplan(f *testing.F) {
	seed(f, "netplan*/*.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		s, b := &bonds{}, readable([]byte(text))
		if readNetplan(s, "f", b) == nil && readNetplanLinks(s, "f", b) == nil {
			checkConverts(t, s.list)
		}
	})
}

func FuzzInterfaces(f *testing.F) {
	seed(f, "interfaces*/interfaces")
	seed(f, "interfaces/interfaces.d/*")
	f.Fuzz(func(t *testing.T, text string) {
		s := &bonds{}
		list, _ := parseInterfaces("f", string(readable([]byte(text))))
		addInterfaces(s, list)
		checkConverts(t, s.list)
	})
}

func FuzzIfcfg(f *testing.F) {
	seed(f, "ifcfg*/ifcfg-*")
	f.Fuzz(func(t *testing.T, text string) {
		s := &bonds{}
		if addIfcfg(s, []*ifcfg{parseIfcfg("ifcfg-bond0", string(readable([]byte(text)))),
			parseIfcfg("ifcfg-eth1", "MASTER=bond0")}) == nil {
			checkConverts(t, s.list)
		}
	})
}

func FuzzKeyfile(f *testing.F) {
	seed(f, "keyfile*/*.nmconnection")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKeyfile("f", string(readable([]byte(text))))
		if err != nil {
			return
		}
		port, err := parseKeyfile("g", "[connection]\ninterface-name=eth1\nmaster=bond0\n")
		if err != nil {
			t.Fatal(err)
		}
		s := &bonds{}
		if addKeyfiles(s, []*keyfile{k, port}) == nil {
			checkConverts(t, s.list)
		}
	})
}
