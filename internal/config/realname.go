package config

import "strings"

// rename puts the names of NICs in place of altnames.
func (d *document) rename(real func(string) string) {
	for i := range d.Members {
		d.Members[i].Name = real(d.Members[i].Name)
	}
	if d.Primary != "" {
		d.Primary = real(d.Primary)
	}
}

// RealNames is what Set takes, with the names of NICs in place of altnames.
func RealNames(settings map[string]string, real func(string) string) map[string]string {
	out := make(map[string]string, len(settings))
	for key, value := range settings {
		k := canonical(key)
		switch {
		case value != "" && (k == "primary" || k == "active"):
			value = real(value)
		case strings.HasPrefix(k, "weight.") || strings.HasPrefix(k, portPriority+"."):
			per, nic, _ := strings.Cut(key, ".")
			key = per + "." + real(nic)
		}
		out[key] = value
	}
	return out
}
