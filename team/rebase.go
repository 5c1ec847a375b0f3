// SPDX-License-Identifier: MIT

package team

import (
	"reflect"
	"time"
)

// maxAhead bounds how far in the future a time of a Checkpoint is: nothing in it is due later.
const maxAhead = time.Hour

// Rebase moves all times of c to another process's clock, by which it was written at.
func (c *Checkpoint) Rebase(at time.Time) {
	was := c.At
	rebase(reflect.ValueOf(c).Elem(), func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return at.Add(min(t.Sub(was), maxAhead))
	})
}

var timeType = reflect.TypeFor[time.Time]()

// rebase replaces each time in v, which is settable.
func rebase(v reflect.Value, move func(time.Time) time.Time) {
	if v.Type() == timeType {
		v.Set(reflect.ValueOf(move(v.Interface().(time.Time))))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			rebase(v.Elem(), move)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				rebase(field, move)
			}
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Pointer {
			for i := range v.Len() {
				rebase(v.Index(i), move)
			}
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			rebase(e, move)
			v.SetMapIndex(k, e)
		}
	}
}
