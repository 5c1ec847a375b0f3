// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
)

// resident returns how much memory a process has and the most it had, in MB.
func resident(pid int) (now, most float64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		kB, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kB * 1024 / 1e6
		case "VmHWM:":
			most = kB * 1024 / 1e6
		}
	}
	if now == 0 {
		return 0, 0, fmt.Errorf("process %d shows no memory", pid)
	}
	return now, most, nil
}

// cpuTime returns the CPU time of a process's threads. The kernel counts nanoseconds a thread; the figure of the
// process is in ticks of 10 ms, too coarse for an idle process.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, errors.New("the kernel keeps no time of threads (CONFIG_SCHED_INFO)")
	}
	return sum, nil
}

// wholeCPUTime is cpuTime with the threads that have ended, in ticks of 10 ms.
func wholeCPUTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), ") ") // behind the name
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is %q", pid, b)
	}
	var ticks [2]time.Duration
	for i, text := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
		ticks[i] = time.Duration(n) * 10 * time.Millisecond
	}
	return ticks[0] + ticks[1], nil
}

// busy returns the percentage of all CPUs' time that programs used during d.
func busy(ctx context.Context, d time.Duration) (float64, error) {
	was, err := cpuTicks()
	if err == nil {
		err = pause(ctx, d)
	}
	if err != nil {
		return 0, err
	}
	is, err := cpuTicks()
	if err != nil {
		return 0, err
	}
	total, idle := 0.0, 0.0
	for i := range is {
		total += is[i] - was[i]
		if i == 3 || i == 4 { // idle, waiting for a disk
			idle += is[i] - was[i]
		}
	}
	if total == 0 {
		return 0, errors.New("/proc/stat does not move")
	}
	return 100 * (1 - idle/total), nil
}

// cpuTicks reads user, nice, system, idle, iowait, irq, softirq and steal of all CPUs together.
func cpuTicks() (ticks [8]float64, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 1+len(ticks) || fields[0] != "cpu" {
		return ticks, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i := range ticks {
		if ticks[i], err = strconv.ParseFloat(fields[1+i], 64); err != nil {
			return ticks, err
		}
	}
	return ticks, nil
}

// idle measures a team of two NICs without traffic.
func (b *bench) idle(ctx context.Context) {
	cpu := b.measure("idle-cpu", "time that the process of a team of 2 takes of one CPU while nothing is sent", "%")
	rss := b.measure("rss-idle", "its memory (VmRSS)", "MB")
	for _, path := range []string{relay, fast} {
		if err := b.idleOf(ctx, path, cpu, rss); err != nil {
			for _, m := range []*measure{cpu, rss} {
				m.add(path).Missing = err.Error()
			}
			b.logf("idle: %s: not taken: %v", path, err)
		}
	}
}

func (b *bench) idleOf(ctx context.Context, path string, cpu, rss *measure) error {
	r, err := b.switched("idle", network{nics: 2})
	if err != nil {
		return err
	}
	defer b.close(r)
	if err := r.team(ctx, path, "eth1", "eth2", "--mode", "active-backup"); err != nil {
		return err
	}
	st, err := r.client.Status(ctx)
	if err == nil {
		// Announcements after the start are over by then.
		err = pause(ctx, 2*time.Second)
	}
	if err != nil {
		return err
	}
	b.repeat(ctx, b.few(5), path, cpu, func(ctx context.Context, _ int) (float64, error) {
		was, err := cpuTime(st.PID)
		if err != nil {
			return 0, err
		}
		at := time.Now()
		if err := pause(ctx, b.turn); err != nil {
			return 0, err
		}
		is, err := cpuTime(st.PID)
		return 100 * (is - was).Seconds() / time.Since(at).Seconds(), err
	})
	b.repeat(ctx, 1, path, rss, func(context.Context, int) (float64, error) {
		now, _, err := resident(st.PID)
		return now, err
	})
	return nil
}

// create measures how long a new team takes until it forwards.
func (b *bench) create(ctx context.Context) {
	m := b.measure("create", "from the call of nicteam create with two NICs until it has returned and an "+
		"echo was answered through the team", "ms")
	r, err := b.switched("create", network{nics: 2})
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(r)
	if err := r.plain(ctx); err != nil {
		b.absent(err, m)
		return
	}
	for _, path := range []string{relay, fast} {
		b.createOf(ctx, r, path, m)
	}
}

func (b *bench) createOf(ctx context.Context, r *rig, path string, m *measure) {
	b.repeat(ctx, b.few(10), path, m, func(ctx context.Context, _ int) (float64, error) {
		p, err := newPinger(r.box, peerAddr)
		if err != nil {
			return 0, err
		}
		defer p.close()
		start := time.Now()
		if err := r.nicteam(ctx, "create", teamName, "eth1", "eth2", "--mode", "active-backup", "--datapath",
			path, "--no-persist"); err != nil {
			return 0, err
		}
		returned := time.Since(start)
		tries := 0
		for ; ; tries++ {
			if _, ok := p.once(20 * time.Millisecond); ok {
				break
			}
			if tries > 200 {
				return 0, errors.New("no answer for 4s after create returned")
			}
		}
		took := time.Since(start)
		if tries > 0 {
			m.Notes = append(m.Notes,
				fmt.Sprintf("%s: create returned after %v, %d echoes before the answered one were lost", path,
					returned.Round(time.Millisecond), tries))
		}
		if err := r.nicteam(ctx, "delete", teamName); err != nil {
			return 0, err
		}
		return milliseconds(took), r.awaitPing(ctx)
	})
}

// member finds a member by name.
func member(s *api.Status, name string) api.Member {
	for _, m := range s.Members {
		if m.Name == name {
			return m
		}
	}
	return api.Member{}
}
