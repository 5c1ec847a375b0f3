// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nicteam/internal/lab/hosts/agent"
)

// runAgent serves the driver until the machine ends. It is a service of the guest that needs no network.
func runAgent() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	return agent.Serve(patient{port}, port)
}

// openPort finds the agent's port without udev's links.
func openPort() (*os.File, error) {
	for range 100 {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil || strings.TrimSpace(string(b)) != agent.Port {
				continue
			}
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(n))), os.O_RDWR, 0)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, fmt.Errorf("find virtio port %s: none", agent.Port)
}

// patient reads on while nobody is connected to the port: it reports the end of a file then.
type patient struct{ r io.Reader }

func (p patient) Read(b []byte) (int, error) {
	for {
		n, err := p.r.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
