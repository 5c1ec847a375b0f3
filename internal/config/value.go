package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseText makes of a flag's or a variable's text what a file would have given.
func parseText(s *setting, value string) (any, *fault) {
	switch s.shape {
	case whole:
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return nil, notA(s, value)
		}
		return int(n), nil
	case toggle:
		b, ok := toggleWords[strings.ToLower(value)]
		if !ok {
			return nil, notA(s, value)
		}
		return b, nil
	case tri:
		if _, ok := triWords[strings.ToLower(value)]; !ok {
			return nil, notA(s, value)
		}
	case span:
		if _, f := parseSpan(s.key, value); f != nil {
			return nil, f
		}
	case nics:
		list := []any{}
		for _, n := range split(value) {
			list = append(list, n)
		}
		return list, nil
	}
	return value, nil
}

func notA(s *setting, value string) *fault {
	return &fault{key: s.key, what: fmt.Sprintf("%q is not %s", value, s.shape), why: "wanted is " + s.shape.String(), fix: "give " + s.shape.String()}
}

// parseWeights reads NIC=N[,NIC=N].
func parseWeights(value string) (map[string]float64, *fault) {
	weights := map[string]float64{}
	for _, part := range split(value) {
		nic, n, ok := strings.Cut(part, "=")
		if !ok || nic == "" {
			return nil, &fault{key: "weight", what: fmt.Sprintf("%q is not NIC=N", part), why: "a weight belongs to a NIC", fix: "write it as eth1=2"}
		}
		w, f := parseWeight("weight", nic, n)
		if f != nil {
			return nil, f
		}
		weights[nic] = w
	}
	return weights, nil
}

// parsePriorities reads NIC=N[,NIC=N].
func parsePriorities(value string) (map[string]int, *fault) {
	priorities := map[string]int{}
	for _, part := range split(value) {
		nic, n, ok := strings.Cut(part, "=")
		if !ok || nic == "" {
			return nil, &fault{key: portPriority, what: fmt.Sprintf("%q is not NIC=N", part), why: "a port priority belongs to a NIC", fix: "write it as eth1=100"}
		}
		p, f := parsePriority(portPriority, nic, n)
		if f != nil {
			return nil, f
		}
		priorities[nic] = p
	}
	return priorities, nil
}

func parsePriority(key, nic, value string) (int, *fault) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, &fault{key: key, what: fmt.Sprintf("%q of %s is not a whole number", value, nic), why: fmt.Sprintf("allowed is 0 to %d; the lower the better", maxPriority), fix: fmt.Sprintf("write a number from 0 to %d", maxPriority)}
	}
	return int(n), priorityFault(key, nic, int(n))
}

func parseWeight(key, nic, value string) (float64, *fault) {
	w, err := strconv.ParseFloat(value, 64)
	if err != nil || !(w > 0 && w <= maxWeight) || math.IsNaN(w) {
		return 0, &fault{key: key, what: fmt.Sprintf("weight %q of %s is out of range", value, nic), why: "a weight is above 0 and at most 1000000", fix: "write 1 for a NIC's plain share, 2 for twice as much"}
	}
	return w, nil
}
