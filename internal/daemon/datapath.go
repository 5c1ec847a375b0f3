// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/tchook"
)

// programPath is a data path that moves frames itself or by programs in the kernel: *fastpath.Path.
type programPath interface {
	Engage() error
	Disengage() error
	Engaged() bool
	Lost() <-chan error
	Blind() error
}

var _ programPath = (*fastpath.Path)(nil)

// Values of the setting datapath. The status names pathRelay or pathFast.
const (
	pathAuto  = "auto"
	pathRelay = "relay"
	pathFast  = "fastpath"
)

const (
	reasonStarting = "the team starts"
	reasonRelay    = "set by datapath=relay"
	reasonFast     = "eBPF"
)

// retryInterval bounds how long the relay goes on after the hook that the fast path needs has become free.
const retryInterval = 30 * time.Second

// datapathSelector selects what moves the frames: the fast path if it is wanted and possible, else the relay.
type datapathSelector struct {
	path       programPath
	report     func(name, reason string) // to the status
	warn       func(text string)         // while datapath=fastpath is not met; "" ends it
	hooksHeld  func() error              // whether other programs hold a hook: much cheaper than trying Engage
	setBacklog func(fast bool) error     // of the kernel's receive queues, as the path needs it
	log        *slog.Logger

	mu           sync.Mutex
	wanted       string // the setting
	retryable    bool   // the cause may go away by itself
	suspended    bool   // the relay moves everything until resume
	loggedReason string // why the relay moves the frames; "": the fast path does
}

// start selects first, once the members have joined. With strict, datapath=fastpath that is not possible is an error;
// else the team works by the relay.
func (d *datapathSelector) start(wanted string, strict bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wanted == pathRelay {
		d.wanted = wanted
		d.reportPath(pathRelay, reasonRelay)
		return nil
	}
	err := d.path.Engage()
	if err != nil && strict && wanted == pathFast {
		return err
	}
	d.wanted = wanted
	d.finishAttempt(err)
	return nil
}

// inherit begins with the path of the process before, if its programs go on.
func (d *datapathSelector) inherit(wanted string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = wanted
	switch {
	case d.path.Engaged():
		d.finishAttempt(nil)
	case wanted == pathRelay:
		d.reportPath(pathRelay, reasonRelay)
	default:
		d.finishAttempt(d.path.Engage())
	}
}

// setWanted changes the setting under traffic. On an error nothing has changed.
func (d *datapathSelector) setWanted(wanted string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wanted == pathRelay {
		d.wanted, d.retryable = wanted, false
		if d.path.Engaged() {
			if err := d.path.Disengage(); err != nil {
				d.log.Error("programs not removed", "err", err)
			}
		}
		d.reportPath(pathRelay, reasonRelay)
		d.warn("")
		return nil
	}
	err := d.path.Engage()
	if err != nil && wanted == pathFast {
		return err
	}
	d.wanted = wanted
	d.finishAttempt(err)
	return nil
}

// lostPrograms handles programs that the kernel or another program removed, or that a new member cannot have.
func (d *datapathSelector) lostPrograms(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted == pathRelay || d.suspended || d.path.Engaged() {
		return // decided otherwise meanwhile
	}
	d.finishAttempt(err)
	d.retryable = true // the member that caused it may leave
}

// retry tries the fast path again, if the cause can go away by itself.
func (d *datapathSelector) retry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.retryable || d.suspended || d.path.Engaged() {
		return
	}
	err := d.hooksHeld()
	if !errors.As(err, new(*tchook.HookHeld)) {
		err = d.path.Engage()
	}
	d.finishAttempt(err)
}

// finishAttempt reports how Engage ended. The caller holds mu.
func (d *datapathSelector) finishAttempt(err error) {
	if err == nil {
		d.retryable, d.loggedReason = false, ""
		d.reportPath(pathFast, fastReason(d.path.Blind()))
		d.warn("")
		return
	}
	d.retryable = errors.As(err, new(*tchook.HookHeld))
	why := tchook.WhyNoPrograms(err)
	if why != d.loggedReason {
		d.log.Info("the relay moves the frames", "reason", why, "err", err)
	}
	d.loggedReason = why
	d.reportPath(pathRelay, why)
	warning := ""
	if d.wanted == pathFast {
		warning = "datapath=fastpath is not possible, the relay moves the frames: " + why
	}
	d.warn(warning)
}

// fastReason is the reason of the fast path; blind is why its programs do not see that a member has no link.
func fastReason(blind error) string {
	if blind == nil {
		return reasonFast
	}
	why := blind.Error()
	if errors.As(blind, new(*ebpf.VerifierError)) {
		why = tchook.WhyNoPrograms(blind)
	}
	return reasonFast + "; that a member has lost its link they do not see by themselves: " + why
}

// reportPath reports which path moves the frames. A short backlog drops more under load, but is no reason to use the
// other path.
func (d *datapathSelector) reportPath(name, reason string) {
	if err := d.setBacklog(name == pathFast); err != nil {
		d.log.Warn("net.core.netdev_max_backlog not changed", "err", err)
	}
	d.report(name, reason)
}

// suspend makes the relay move everything until resume.
func (d *datapathSelector) suspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended = true
	if err := d.path.Disengage(); err != nil {
		d.log.Error("programs not removed", "err", err)
	}
}

// resume returns to the setting.
func (d *datapathSelector) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended = false
	if d.wanted == pathAuto || d.wanted == pathFast {
		d.finishAttempt(d.path.Engage())
	}
}

// run retries and handles lost programs until ctx ends. First it gives memory back: a start reads the whole host, and
// the kernel's types for the programs, and the runtime would keep for minutes what that took.
func (d *datapathSelector) run(ctx context.Context) {
	debug.FreeOSMemory()
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-d.path.Lost():
			d.lostPrograms(err)
		case <-tick.C:
			d.retry()
		}
	}
}

// hooks attaches the programs of the fast path. A NIC that is gone has no frames and needs no program; it joins anew
// when it is back.
type hooks struct{ host *host.Host }

// Attach attaches p to a hook of a member or of the adapter.
func (h hooks) Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	c, err := h.host.Attach(index, hook, p)
	if errors.Is(err, host.ErrNoNIC) {
		return io.NopCloser(nil), nil
	}
	return c, err
}

// AttachIsolating attaches p to the ingress of a member, in the place of its isolation.
func (h hooks) AttachIsolating(index int, p *ebpf.Program) (io.Closer, error) {
	c, err := h.host.AttachIsolating(index, p)
	if errors.Is(err, host.ErrNoNIC) {
		return io.NopCloser(nil), nil
	}
	return c, err
}

// Inherited reports whether a hook has a program of the process before.
func (h hooks) Inherited(index int, hook ebpf.AttachType) bool { return h.host.Inherited(index, hook) }

// DetachInherited detaches that program.
func (h hooks) DetachInherited(index int, hook ebpf.AttachType) error {
	return h.host.DetachInherited(index, hook)
}
