// SPDX-License-Identifier: MIT

// Command release makes what a release has besides packages and archives:
//
//	notices FILE                      the licence texts of all libraries in the binary
//	sbom BINARY FILE                  what the binary is made of: CycloneDX 1.5, in JSON
//	image BINARY NOTICES FILE         an image for containers that has the binary and nothing else
//
// It runs at the root of the repository. What it writes depends on the commit only: times are SOURCE_DATE_EPOCH.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var out []byte
	err := fmt.Errorf("want notices FILE, sbom BINARY FILE or image BINARY NOTICES FILE")
	if len(args) < 2 {
		return err
	}
	switch verb := args[0]; {
	case verb == "notices" && len(args) == 2:
		out, err = notices()
	case verb == "sbom" && len(args) == 3:
		out, err = sbom(args[1])
	case verb == "image" && len(args) == 4:
		out, err = image(args[1], args[2])
	}
	if err != nil {
		return err
	}
	return os.WriteFile(args[len(args)-1], out, 0o644)
}

// sourceDate is the time of all that is made.
func sourceDate() (time.Time, error) {
	s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(s, 0).UTC(), nil
}

var versionLine = regexp.MustCompile(`(?m)^const version = "(.*)"$`)

// version is the number of the release under development.
func version() (string, error) {
	const file = "cmd/nicteam/main.go"
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	m := versionLine.FindSubmatch(src)
	if m == nil {
		return "", fmt.Errorf("%s: no version", file)
	}
	return string(m[1]), nil
}
