// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// serve starts iperf3's server in peer.
func (r *rig) serve(ctx context.Context) error {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return fmt.Errorf("iperf3: %w (apt-get install iperf3)", err)
	}
	cmd := r.peer.Command("iperf3", "-s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	r.deferClose(func() error {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil
	})
	for deadline := time.Now().Add(5 * time.Second); ; {
		c, err := r.peer.Dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", "5201"))
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("iperf3 server: %w", err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// busyServer is the error of a client whose server has not finished the test before.
const busyServer = "the server is busy"

// iperf returns the receiver's Mbit/s. Further arguments are passed to iperf3.
func (r *rig) iperf(ctx context.Context, d time.Duration, streams int, args ...string) (mbit float64, err error) {
	for range 10 {
		if mbit, err = r.iperfOnce(ctx, d, streams, args...); err == nil || !strings.Contains(err.Error(), busyServer) {
			break
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return mbit, err
}

func (r *rig) iperfOnce(ctx context.Context, d time.Duration, streams int, args ...string) (float64, error) {
	// A hanging client is a turn without a figure.
	ctx, cancel := context.WithTimeout(ctx, d+15*time.Second)
	defer cancel()
	args = append([]string{"-J", "-c", peerAddr.String(), "-t", strconv.Itoa(int(d.Seconds())), "-P",
		strconv.Itoa(streams)}, args...)
	out, err := r.box.CommandContext(ctx, "iperf3", args...).Output()
	var result struct {
		Error string
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	parsed := json.Unmarshal(out, &result)
	switch {
	case result.Error != "":
		return 0, fmt.Errorf("iperf3: %s", result.Error)
	case err != nil:
		return 0, fmt.Errorf("iperf3: %w", err)
	case parsed != nil:
		return 0, fmt.Errorf("iperf3: read its result: %w", parsed)
	case result.End.Received.BitsPerSecond <= 0:
		return 0, errors.New("iperf3: nothing was received")
	}
	return result.End.Received.BitsPerSecond / 1e6, nil
}
