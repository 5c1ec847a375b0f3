package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"nicteam/internal/fastpath"
	"nicteam/internal/tchook"
)

// engine is a data path that moves frames by itself or has programs in the kernel move them; *fastpath.Path is one.
type engine interface {
	Engage() error
	Disengage() error
	Engaged() bool
	Lost() <-chan error
}

var _ engine = (*fastpath.Path)(nil)

// The data paths as a configuration wishes and a status tells them.
const (
	pathAuto  = "auto"
	pathRelay = "relay"
	pathFast  = "fastpath"
)

const (
	whyStarts = "the team starts"
	whyRelay  = "asked for by datapath=relay"
	whyFast   = "the kernel moves the frames (tc programs)"
)

// againAfter is how long what stands in the way of the programs may have gone without being noticed.
const againAfter = 30 * time.Second

// choice decides which data path moves the frames: it knows what is wished and tries what can be had. Whatever happens, the
// relay moves what programs do not.
type choice struct {
	path engine
	tell func(name, reason string) // for the status
	warn func(text string)         // stands while a wish for the programs cannot be met; "" ends it
	held func() error              // says whether others hold a hook, which takes far less than finding out by Engage
	room func(fast bool) error     // gives the kernel's queues the length that the path needs
	log  *slog.Logger

	mu    sync.Mutex
	wish  string
	again bool   // what stands in the way may go away by itself
	still bool   // suspended
	why   string // the relay moves the frames, as last logged
}

// begin is the first choice, once the members have joined. With insist a wish for the programs that cannot be met is an error;
// otherwise the team must not be without network for it.
func (c *choice) begin(wish string, insist bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wish == pathRelay {
		c.wish = wish
		c.runs(pathRelay, whyRelay)
		return nil
	}
	err := c.path.Engage()
	if err != nil && insist && wish == pathFast {
		return err
	}
	c.wish = wish
	c.settle(err)
	return nil
}

// set changes the wish under traffic. On an error nothing has changed.
func (c *choice) set(wish string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wish == pathRelay {
		c.wish, c.again = wish, false
		if c.path.Engaged() {
			if err := c.path.Disengage(); err != nil {
				c.log.Error("programs not removed", "err", err)
			}
		}
		c.runs(pathRelay, whyRelay)
		c.warn("")
		return nil
	}
	err := c.path.Engage()
	if err != nil && wish == pathFast {
		return err
	}
	c.wish = wish
	c.settle(err)
	return nil
}

func (c *choice) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wish == pathRelay || c.still || c.path.Engaged() {
		return // somebody has decided since
	}
	c.settle(err)
	c.again = true // it was the last NIC that came, and NICs go
}

// retry tries again what could not be had, where there is hope.
func (c *choice) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.again || c.still || c.path.Engaged() {
		return
	}
	err := c.held()
	if !errors.As(err, new(*tchook.HookHeld)) {
		err = c.path.Engage()
	}
	c.settle(err)
}

// settle tells how an attempt has ended. The caller holds mu.
func (c *choice) settle(err error) {
	if err == nil {
		c.again, c.why = false, ""
		c.runs(pathFast, whyFast)
		c.warn("")
		return
	}
	c.again = errors.As(err, new(*tchook.HookHeld))
	why := tchook.WhyNoPrograms(err)
	if why != c.why {
		c.log.Info("the relay moves the frames", "reason", why, "err", err)
	}
	c.why = why
	c.runs(pathRelay, why)
	warning := ""
	if c.wish == pathFast {
		warning = "datapath=fastpath cannot be had, the relay moves the frames: " + why
	}
	c.warn(warning)
}

// runs says which path moves the frames from now on. One that is short of room drops more under load, which is no reason to go
// without it.
func (c *choice) runs(name, reason string) {
	if err := c.room(name == pathFast); err != nil {
		c.log.Warn("the processors' queues of received frames stay as they are", "err", err)
	}
	c.tell(name, reason)
}

// suspend has the relay move everything until resume.
func (c *choice) suspend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.still = true
	if err := c.path.Disengage(); err != nil {
		c.log.Error("programs not removed", "err", err)
	}
}

// resume goes back to what is wished.
func (c *choice) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.still = false
	if c.wish == pathAuto || c.wish == pathFast {
		c.settle(c.path.Engage())
	}
}

// follow keeps to the wish until ctx ends.
func (c *choice) follow(ctx context.Context) {
	tick := time.NewTicker(againAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-c.path.Lost():
			c.lost(err)
		case <-tick.C:
			c.retry()
		}
	}
}
