// SPDX-License-Identifier: MIT

package api_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"nicteam/internal/api"
)

// TestEveryKeyIsDocumented: docs/json.md names every schema and every key of the documents.
func TestEveryKeyIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() == "time" || seen[typ] {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key == "-" {
				continue
			}
			if key != "" && !regexp.MustCompile(`[\x60".]`+key+`[\x60"]`).MatchString(text) {
				t.Errorf("%s: docs/json.md does not have the key %s", typ, key)
			}
			walk(f.Type)
		}
	}
	for schema, doc := range map[string]any{
		api.StatusSchema: api.Status{}, api.RatesSchema: api.Rates{}, api.EventSchema: api.Event{},
		api.HistorySchema: api.History{},
		api.ExplainSchema: api.Explanation{}, api.PeersSchema: api.Peers{}, api.ListSchema: api.List{},
		api.CreatedSchema: api.Created{},
		api.ResultSchema:  api.Result{}, api.ApplySchema: api.Applied{}, api.ProblemSchema: api.Problem{},
		api.ImportSchema:    api.Imported{},
		api.VersionSchema:   api.Version{},
		api.RestartedSchema: api.Restarted{},
	} {
		if !strings.Contains(text, "`"+schema+"`") {
			t.Errorf("docs/json.md does not have %s", schema)
		}
		walk(reflect.TypeOf(doc))
	}
}
