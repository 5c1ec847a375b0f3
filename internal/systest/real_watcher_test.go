// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestAStoppedWatcherDelaysNothing: a watcher that is stopped affects neither traffic nor another watcher.
func TestAStoppedWatcherDelaysNothing(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{NICs: 2})
	w.create(nics(2))
	stopped := w.box.Command(program(t), "watch", teamName, "--json", "--interval", "100ms")
	pipe, err := stopped.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, stopped.Start())
	t.Cleanup(func() { _ = stopped.Process.Kill(); _ = stopped.Wait() })
	_, err = pipe.Read(make([]byte, 1)) // it watches
	labtest.Must(t, err)
	labtest.Must(t, stopped.Process.Signal(syscall.SIGSTOP))

	tr := w.traffic(lab.Stream{Rate: 4000})
	begin := time.Now()
	out := w.nicteam("watch", teamName, "--json", "--count", "10", "--interval", "200ms")
	if n := strings.Count(out, "\n"); n != 10 {
		t.Errorf("another watcher got %d documents, want 10", n)
	}
	t.Logf("10 intervals of 200 ms took %v", time.Since(begin))
	tr.awaitFrames(2000)
	// Waiting for it would lose everything for two seconds.
	if out, in := tr.stop(); out.Lost > out.Sent/100 || in.Lost > in.Sent/100 || out.Duplicated+in.Duplicated != 0 {
		t.Errorf("lost or doubled: %v, %v", out, in)
	}
}
