// SPDX-License-Identifier: MIT

package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"nicteam/internal/launch"
	"nicteam/internal/supervisor"
)

// Names in the store for the keeper's own descriptors while its program is replaced. A child cannot store under them:
// it never sees them.
const (
	lockName  = ".lock"
	childName = ".child"
)

// executable is the program of a child. What is at the path may be another one by now, and not proved.
func (c *child) executable() string { return fmt.Sprintf("/proc/%d/exe", c.Pid) }

// newVersion reports whether a child runs another program than this process.
func newVersion(c *child) bool {
	a, err := os.Stat(ownExecutable)
	b, err2 := os.Stat(c.executable())
	return err == nil && err2 == nil && !os.SameFile(a, b)
}

// renew replaces the program of this process, after the new one has proved itself: its child is ready. Process ID,
// children, descriptors and lock stay. It returns only on an error.
func (k *keeper) renew(c *child, messages <-chan message) chan message {
	// A message that was read and not handled would be lost.
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	for m := range messages {
		k.handle(c, m)
	}
	k.closer.Wait()
	err := errors.Join(k.store.Put(lockName, int(k.lock.FD())), k.putConn(c.conn))
	if err == nil {
		o := k.Options
		o.Config = k.config(false)
		argv := append([]string{k.Program}, append(o.Args(), childFlag(c.Pid)...)...)
		k.Log.Info("the keeper becomes the new version", "program", k.Program)
		err = k.store.Exec(c.executable(), argv, []string{"PATH=" + launch.SafePath})
	}
	k.Log.Warn("the keeper stays the old version", "err", err)
	k.store.Remove(lockName)
	k.store.Remove(childName)
	_ = c.conn.SetReadDeadline(time.Time{})
	again := make(chan message)
	go receive(c.conn, again)
	return again
}

func (k *keeper) putConn(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var put error
	err = raw.Control(func(fd uintptr) { put = k.store.Put(childName, int(fd)) })
	return errors.Join(err, put)
}

// resume takes over the child of the keeper that this one replaced.
func (k *keeper) resume() (*child, error) {
	k.store = supervisor.Inherited()
	lock, ok := k.store.Take(lockName)
	socket, ok2 := k.store.Take(childName)
	if !ok || !ok2 {
		return nil, errors.New("take over the team's process: no descriptors of an older keeper")
	}
	k.lock = launch.HeldKeeperLock(k.Dirs, k.Team, lock)
	conn, err := connection(socket)
	if err != nil {
		return nil, err
	}
	p, err := os.FindProcess(k.Child)
	if err != nil {
		return nil, err
	}
	return &child{Process: p, conn: conn, started: time.Now(), ready: true}, nil
}
