package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/tchook"
)

// programPath is a data path that moves frames by itself or has programs in the kernel move them; *fastpath.Path is one.
type programPath interface {
	Engage() error
	Disengage() error
	Engaged() bool
	Lost() <-chan error
}

var _ programPath = (*fastpath.Path)(nil)

// The data paths as a configuration wishes and a status tells them.
const (
	pathAuto  = "auto"
	pathRelay = "relay"
	pathFast  = "fastpath"
)

const (
	reasonStarting = "the team starts"
	reasonRelay    = "asked for by datapath=relay"
	reasonFast     = "the kernel moves the frames (tc programs)"
)

// retryInterval is how long what stands in the way of the programs may have gone without being noticed.
const retryInterval = 30 * time.Second

// datapathSelector decides which data path moves the frames: it knows what is wished and tries what can be had. Whatever happens, the
// relay moves what programs do not.
type datapathSelector struct {
	path       programPath
	report     func(name, reason string) // for the status
	warn       func(text string)         // stands while a wish for the programs cannot be met; "" ends it
	hooksHeld  func() error              // says whether others hold a hook, which takes far less than finding out by Engage
	setBacklog func(fast bool) error     // gives the kernel's queues the length that the path needs
	log        *slog.Logger

	mu           sync.Mutex
	wanted       string
	retryable    bool   // what stands in the way may go away by itself
	suspended    bool   // suspended
	loggedReason string // the relay moves the frames, as last logged
}

// start is the first choice, once the members have joined. With insist a wish for the programs that cannot be met is an error;
// otherwise the team must not be without network for it.
func (c *datapathSelector) start(wish string, insist bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wish == pathRelay {
		c.wanted = wish
		c.reportPath(pathRelay, reasonRelay)
		return nil
	}
	err := c.path.Engage()
	if err != nil && insist && wish == pathFast {
		return err
	}
	c.wanted = wish
	c.finishAttempt(err)
	return nil
}

// setWanted changes the wish under traffic. On an error nothing has changed.
func (c *datapathSelector) setWanted(wish string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wish == pathRelay {
		c.wanted, c.retryable = wish, false
		if c.path.Engaged() {
			if err := c.path.Disengage(); err != nil {
				c.log.Error("programs not removed", "err", err)
			}
		}
		c.reportPath(pathRelay, reasonRelay)
		c.warn("")
		return nil
	}
	err := c.path.Engage()
	if err != nil && wish == pathFast {
		return err
	}
	c.wanted = wish
	c.finishAttempt(err)
	return nil
}

func (c *datapathSelector) lostPrograms(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == pathRelay || c.suspended || c.path.Engaged() {
		return // somebody has decided since
	}
	c.finishAttempt(err)
	c.retryable = true // it was the last NIC that came, and NICs go
}

// retry tries again what could not be had, where there is hope.
func (c *datapathSelector) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retryable || c.suspended || c.path.Engaged() {
		return
	}
	err := c.hooksHeld()
	if !errors.As(err, new(*tchook.HookHeld)) {
		err = c.path.Engage()
	}
	c.finishAttempt(err)
}

// finishAttempt tells how an attempt has ended. The caller holds mu.
func (c *datapathSelector) finishAttempt(err error) {
	if err == nil {
		c.retryable, c.loggedReason = false, ""
		c.reportPath(pathFast, reasonFast)
		c.warn("")
		return
	}
	c.retryable = errors.As(err, new(*tchook.HookHeld))
	why := tchook.WhyNoPrograms(err)
	if why != c.loggedReason {
		c.log.Info("the relay moves the frames", "reason", why, "err", err)
	}
	c.loggedReason = why
	c.reportPath(pathRelay, why)
	warning := ""
	if c.wanted == pathFast {
		warning = "datapath=fastpath cannot be had, the relay moves the frames: " + why
	}
	c.warn(warning)
}

// reportPath says which path moves the frames from now on. One that is short of room drops more under load, which is no reason to go
// without it.
func (c *datapathSelector) reportPath(name, reason string) {
	if err := c.setBacklog(name == pathFast); err != nil {
		c.log.Warn("the processors' queues of received frames stay as they are", "err", err)
	}
	c.report(name, reason)
}

// suspend has the relay move everything until resume.
func (c *datapathSelector) suspend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspended = true
	if err := c.path.Disengage(); err != nil {
		c.log.Error("programs not removed", "err", err)
	}
}

// resume goes back to what is wished.
func (c *datapathSelector) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspended = false
	if c.wanted == pathAuto || c.wanted == pathFast {
		c.finishAttempt(c.path.Engage())
	}
}

// run keeps to the wish until ctx ends.
func (c *datapathSelector) run(ctx context.Context) {
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-c.path.Lost():
			c.lostPrograms(err)
		case <-tick.C:
			c.retry()
		}
	}
}

// hooks is package host as the fast path sees it: nothing is attached to a NIC that is gone, and nothing has to be, for no
// frame comes by it. When it is back it joins anew.
type hooks struct{ host *host.Host }

// Attach attaches a program to a hook of a member or of the adapter.
func (h hooks) Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	c, err := h.host.Attach(index, hook, p)
	if errors.Is(err, host.ErrNoNIC) {
		return io.NopCloser(nil), nil
	}
	return c, err
}
