// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"nicteam/internal/atomicfile"
	"nicteam/internal/launch"
)

// restoreTimeout bounds `nicteam restore`.
const restoreTimeout = 60 * time.Second

// giveBack puts the host back without a process of the team.
func (k *keeper) giveBack() error {
	// The programs that hide the members from the host live as long as their links are open.
	for _, name := range k.store.Names() {
		if fd, ok := k.store.Take(name); ok {
			k.closer.Close(fd)
		}
	}
	k.closer.Wait()
	if !launch.Restorable(k.Dirs, k.Team) {
		return nil
	}
	k.keepConfig() // restore removes the running one
	ctx, cancel := context.WithTimeout(context.Background(), restoreTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, ownExecutable, append([]string{"restore", k.Team}, k.Flags()...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + launch.SafePath}
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		k.Log.Error("the NICs could not be given back", "err", err, "output", text)
		return fmt.Errorf("restore: %w: %s", err, text)
	}
	for line := range strings.Lines(text) {
		k.Log.Info("given back", "what", strings.TrimSpace(line))
	}
	return nil
}

// keepConfig keeps the configuration of the last process, for the time without one.
func (k *keeper) keepConfig() {
	b, err := os.ReadFile(k.RunningConfig(k.Team))
	if err == nil {
		err = atomicfile.Write(k.KeptConfig(k.Team), 0o640, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
	}
	if err != nil {
		k.Log.Warn("configuration of the team not kept", "err", err)
	}
}

func (k *keeper) forgetConfig() { atomicfile.Remove(k.KeptConfig(k.Team)) }

// config returns the configuration for a start: what the last process had, with every live change.
func (k *keeper) config(first bool) string {
	if !first {
		// The last one: somebody removed the directory of the others.
		for _, path := range []string{k.RunningConfig(k.Team), k.KeptConfig(k.Team), k.LastConfig(k.Team)} {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return k.Config
}
