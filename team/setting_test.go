package team

import (
	"reflect"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// TestStatusHasTheLiveSettings: each live setting stands in the status, most among the settings.
func TestStatusHasTheLiveSettings(t *testing.T) {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[api.Settings]().Fields() {
		fields[f.Tag.Get("json")] = true
	}
	if len(statusRows) != len(fields) {
		t.Errorf("%d rows for %d fields", len(statusRows), len(fields))
	}
	elsewhere := map[string]bool{"mode": true, "balance": true, "active": true, "mtu": true, "weight": true, "port_priority": true}
	for i := range settings.Table {
		if s := &settings.Table[i]; s.Live && fields[s.JSONKey()] == elsewhere[s.Key] {
			t.Errorf("%s: in settings %v, elsewhere %v", s.Key, fields[s.JSONKey()], elsewhere[s.Key])
		}
	}
}
