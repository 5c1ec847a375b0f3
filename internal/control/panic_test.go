// SPDX-License-Identifier: MIT

package control

import (
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/panics"
)

// brittle is a team that panics over some questions.
type brittle struct{ *fake }

func (brittle) Explain(string) (*api.Explanation, error) { panic("no flow like that") }

// A request that panics is answered, later ones are as well, and however often it is repeated the process goes on.
func TestPanicCostsOneRequest(t *testing.T) {
	keeper := panics.New(nil)
	c := NewClient(serve(t, brittle{&fake{}}, Options{Panics: keeper}), "team0")
	defer c.Close()
	for range 5 {
		if _, err := c.Explain(t.Context(), "tcp 10.0.0.1:5000 10.0.0.2:80"); err == nil ||
			kindOf(t, err) != api.Failed {
			t.Errorf("answered %v", err)
		}
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	list := keeper.List()
	if len(list) != 1 || list[0].Where != "control API" || list[0].Input != "GET /v1/explain" || list[0].Count != 5 {
		t.Errorf("kept %+v", list)
	}
	select {
	case err := <-keeper.Fatal():
		t.Error(err)
	default:
	}
}
