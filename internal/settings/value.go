// SPDX-License-Identifier: MIT

package settings

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// says adds what words mean: a word, its meaning, the next word.
func (v value) says(pairs ...string) value {
	v.Says = map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Says[pairs[i]] = pairs[i+1]
	}
	return v
}

// text is any text.
func text(at func(*Config) *string) value {
	return value{Type: Text,
		get: func(c *Config) any { return *at(c) },
		set: func(c *Config, v any) *Fault { *at(c) = asText(v); return nil }}
}

// nicName is the name of a member, or none.
func nicName(at func(*Config) *string) value {
	v := text(at)
	v.Type, v.Values = NIC, "a member, or none"
	v.set = func(c *Config, v any) *Fault {
		name := asText(v)
		if name == "none" && !c.has(name) {
			name = ""
		}
		*at(c) = name
		return nil
	}
	v.check = func(c *Config) *Fault {
		if name := *at(c); name != "" && !c.has(name) {
			return NoMember(name, c)
		}
		return nil
	}
	return v
}

// whole is a whole number from low to high.
func whole[T int | uint16](at func(*Config) *T, low, high int) value {
	values := fmt.Sprintf("%d to %d", low, high)
	standard := *at(defaults())
	between := func(n int64) *Fault {
		if n < int64(low) || n > int64(high) {
			return outOfRange(strconv.FormatInt(n, 10), values, fmt.Sprint(standard))
		}
		return nil
	}
	return value{Type: Whole, Values: values,
		get: func(c *Config) any { return int(*at(c)) },
		set: func(c *Config, v any) *Fault {
			n, err := strconv.ParseInt(asText(v), 10, 32)
			switch {
			case errors.Is(err, strconv.ErrRange):
				return outOfRange(asText(v), values, fmt.Sprint(standard))
			case err != nil:
				return notOfType(Whole, v, values)
			case int64(T(n)) != n:
				return between(n)
			}
			*at(c) = T(n)
			return nil
		},
		check: func(c *Config) *Fault { return between(int64(*at(c))) }}
}

// number is above 0, and at most high.
func number(at func(*Config) *float64, high float64) value {
	values := fmt.Sprintf("above 0, at most %.0f", high)
	return value{Type: Number, Values: values,
		get: func(c *Config) any { return *at(c) },
		set: func(c *Config, v any) *Fault {
			f, err := strconv.ParseFloat(asText(v), 64)
			if err != nil {
				return notOfType(Number, v, values)
			}
			*at(c) = f
			return nil
		},
		check: func(c *Config) *Fault {
			if f := *at(c); !(f > 0 && f <= high) { // written so that NaN is refused
				return outOfRange(strconv.FormatFloat(f, 'f', -1, 64), values, fmt.Sprint(*at(defaults())))
			}
			return nil
		}}
}

// duration is from low to high; with zero not "" also 0s, which has that meaning.
func duration(at func(*Config) *time.Duration, low, high time.Duration, zero string) value {
	values := shorten(low.String()) + " to " + shorten(high.String())
	if zero != "" {
		values += ", or 0s for " + zero
	}
	return value{Type: Duration, Values: values,
		get:  func(c *Config) any { return at(c).String() },
		json: func(c *Config) any { return at(c).Nanoseconds() },
		set: func(c *Config, v any) *Fault {
			d, f := parseDuration(asText(v))
			if f == nil {
				*at(c) = d
			}
			return f
		},
		check: func(c *Config) *Fault {
			if d := *at(c); (d < low || d > high) && (d != 0 || zero == "") {
				return outOfRange(shorten(d.String()), values, shorten(at(defaults()).String()))
			}
			return nil
		}}
}

// parseDuration reads a number and its unit; 0 is the same in all units.
func parseDuration(s string) (time.Duration, *Fault) {
	if s == "0" {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, BareNumber("", s)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, &Fault{What: fmt.Sprintf("%q is not a duration", s),
			Why: "a duration is a number and its unit: ns, us, ms, s, m or h",
			Fix: "write it as 100ms, 2s or 1m30s"}
	}
	return d, nil
}

// BareNumber is the fault of a duration without a unit.
func BareNumber(key, number string) *Fault {
	return &Fault{Key: key, What: number + " has no unit", Why: "a bare number could be any unit",
		Fix: fmt.Sprintf("write its unit, such as %sms or %ss", number, number)}
}

// shorten leaves the zeros out of 1h0m0s.
func shorten(d string) string {
	if s, ok := strings.CutSuffix(d, "m0s"); ok {
		d = s + "m"
	}
	if s, ok := strings.CutSuffix(d, "h0m"); ok {
		d = s + "h"
	}
	return d
}

// toggle is on or off.
func toggle(at func(*Config) *bool) value {
	return value{Type: OnOff, Values: "on or off", Words: []string{"on", "off"},
		get: func(c *Config) any { return *at(c) },
		set: func(c *Config, v any) *Fault {
			on, ok := ParseOnOff(asText(v))
			if !ok {
				return notOfType(OnOff, v, "on or off")
			}
			*at(c) = on
			return nil
		}}
}

// ParseOnOff reads a truth value as people write it.
func ParseOnOff(s string) (on, ok bool) {
	switch strings.ToLower(s) {
	case "on", "true", "yes":
		return true, true
	case "off", "false", "no":
		return false, true
	}
	return false, false
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// choice is one of words; parse knows further spellings of them.
func choice[T ~uint8](at func(*Config) *T, words []T, parse func(string) (T, bool)) value {
	var names []string
	for _, w := range words {
		names = append(names, fmt.Sprint(w))
	}
	return value{Type: Word, Values: OneOf(names), Words: names,
		get: func(c *Config) any { return fmt.Sprint(*at(c)) },
		set: func(c *Config, v any) *Fault {
			w, ok := parse(asText(v))
			if !ok {
				return unknownWord(asText(v), names)
			}
			*at(c) = w
			return nil
		},
		check: func(c *Config) *Fault {
			for _, w := range words {
				if *at(c) == w {
					return nil
				}
			}
			return unknownWord(fmt.Sprint(*at(c)), names)
		}}
}

// named finds a word, or the kernel's number of it where numbered.
func named[T ~uint8 | ~int](words []string, numbered bool) func(string) (T, bool) {
	return func(s string) (T, bool) {
		for i, w := range words {
			if strings.EqualFold(s, w) || numbered && s == strconv.Itoa(i) {
				return T(i), true
			}
		}
		return 0, false
	}
}

// asText writes what a file has as text: true is on.
func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return onOff(v)
	case float64: // the only numbers of JSON
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// asList writes a list of a file, or text with commas, as a list of text.
func asList(v any) (list []string) {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		for _, e := range v {
			list = append(list, asText(e))
		}
		return list
	}
	for s := range strings.SplitSeq(asText(v), ",") {
		list = append(list, strings.TrimSpace(s))
	}
	return list
}

func notOfType(t Type, v any, values string) *Fault {
	return &Fault{What: fmt.Sprintf("%q is not %v", asText(v), t), Why: "want " + values,
		Fix: fmt.Sprintf("give %v", t)}
}
