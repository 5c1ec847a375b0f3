// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// atRoot runs a test at the root of the repository, with this test's program in the place of nicteam.
func atRoot(t *testing.T) (binary string) {
	t.Helper()
	t.Chdir("../..")
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func unpack(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 86400 || h.Uid != 0 {
			t.Errorf("%s: of %v and user %d", h.Name, h.ModTime, h.Uid)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImage follows an image from index.json to its layer, as a container engine does.
func TestImage(t *testing.T) {
	binary := atRoot(t)
	b, err := image(binary, "LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b)
	blob := func(d descriptor) []byte {
		t.Helper()
		content := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if fmt.Sprintf("sha256:%x", sha256.Sum256(content)) != d.Digest || len(content) != d.Size {
			t.Fatalf("blob %+v has %d bytes", d, len(content))
		}
		return content
	}
	var index struct{ Manifests []descriptor }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	var config struct {
		Architecture string
		Config       struct{ Entrypoint []string }
		RootFS       struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(blob(index.Manifests[0]), &manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(blob(manifest.Config), &config); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(blob(manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); got != config.RootFS.DiffIDs[0] {
		t.Errorf("the layer is %s, the configuration has %q", got, config.RootFS.DiffIDs)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	root := unpack(t, layer)
	if !bytes.Equal(root[strings.TrimPrefix(config.Config.Entrypoint[0], "/")], program) {
		t.Error("the entry point is not the program")
	}
	var old []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &old); err != nil {
		t.Fatal(err)
	}
	if files[old[0].Config] == nil || files[old[0].Layers[0]] == nil {
		t.Errorf("manifest.json has %+v", old)
	}
	again, err := image(binary, "LICENSE")
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("another build differs, %v", err)
	}
}

// TestComponents: Go and every module are there, with their licences; one without a licence is an error.
func TestComponents(t *testing.T) {
	info := &buildinfo.BuildInfo{GoVersion: "go1.26.1 X:exp",
		Deps: []*debug.Module{{Path: "a/b", Version: "v1.2.3"}}}
	known := map[string][]licence{"a/b": {{licenceID{"MIT"}}},
		"Go standard library and runtime": {{licenceID{"BSD"}}}}
	got, err := components(info, known)
	if err != nil {
		t.Fatal(err)
	}
	want := []component{
		{BOMRef: "pkg:golang/std@1.26.1", Type: "library", Name: "std", Version: "1.26.1",
			PURL: "pkg:golang/std@1.26.1", Licences: []licence{{licenceID{"BSD"}}}},
		{BOMRef: "pkg:golang/a/b@v1.2.3", Type: "library", Name: "a/b", Version: "v1.2.3",
			PURL: "pkg:golang/a/b@v1.2.3", Licences: []licence{{licenceID{"MIT"}}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	delete(known, "a/b")
	if _, err := components(info, known); err == nil || !strings.Contains(err.Error(), "a/b") {
		t.Errorf("without a licence: %v", err)
	}
}

func TestParseLicences(t *testing.T) {
	got := parseLicences([]byte("# x\n\n| module | version | licence |\n|---|---|---|\n" +
		"| a/b | v1 | MIT and Apache-2.0 |\n"))
	want := map[string][]licence{"a/b": {{licenceID{"Apache-2.0"}}, {licenceID{"MIT"}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestCollect: a text that several have is there once, and a library without one is an error.
func TestCollect(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a/LICENSE": "x\r\n", "b/LICENCE.txt": "x\n", "b/NOTICE": "y",
		"c/README": "z"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := collect([]string{"A " + dir + "/a", "B " + dir + "/b"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list {
		got = append(got, strings.Join(l.owners, "+")+": "+l.text)
	}
	if d := cmp.Diff([]string{"A+B: x", "B: y"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if _, err := collect([]string{"C " + dir + "/c"}); err == nil {
		t.Error("a library without a licence is accepted")
	}
}
