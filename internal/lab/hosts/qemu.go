// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/hosts/agent"
	"nicteam/internal/lab/vm"
)

// kernelArguments. NICs have the names that the kernel gives, eth0 first.
const kernelArguments = "console=ttyS0 quiet loglevel=4 net.ifnames=0 panic=-1 oops=panic mitigations=off " +
	"systemd.show_status=0 audit=0"

// A qemu is a virtual machine with a disk of its own on top of an image.
type qemu struct {
	launch func(args []string, log *os.File) (process, error) // starts QEMU
	kernel vm.Kernel
	initrd string
	disk   string
	dir    string // sockets and console
	memory int    // MiB
	boots  int
	loads  bool // the disk has the snapshot, which the next start goes on from

	running process
	ended   chan struct{} // closed when QEMU ended
	monitor net.Conn
	replies *bufio.Reader
	agent   atomic.Pointer[agent.Client]
	line    net.Conn
}

var _ machine = (*qemu)(nil)

// A process is QEMU's.
type process interface {
	Wait() error
	Kill() error
}

// inHost returns a launch that starts QEMU in a host of the lab.
func inHost(h *lab.Host) func([]string, *os.File) (process, error) {
	return func(args []string, log *os.File) (process, error) {
		cmd := h.Command("qemu-system-x86_64", args...)
		cmd.Stdout, cmd.Stderr = log, log
		return hostProcess{cmd}, cmd.Start()
	}
}

type hostProcess struct{ *lab.Command }

func (p hostProcess) Kill() error { return p.Process.Kill() }

// newDisk makes an empty disk on top of an image.
func newDisk(ctx context.Context, image, disk string) error {
	return command(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", disk)
}

func (q *qemu) Start(ctx context.Context) error {
	q.boots++
	console := filepath.Join(q.dir, fmt.Sprintf("console-%d", q.boots))
	qmp, port := filepath.Join(q.dir, "qmp"), filepath.Join(q.dir, "agent")
	for _, f := range []string{qmp, port} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", fmt.Sprint(q.memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-qmp", "unix:" + qmp + ",server=on,wait=off",
		"-drive", "if=none,id=disk,format=qcow2,cache=unsafe,file=" + q.disk, "-device", "virtio-blk-pci,drive=disk",
		"-device", "virtio-rng-pci",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=agent,server=on,wait=off,path=" + port,
		"-device", "virtserialport,chardev=agent,name=" + agent.Port,
		"-kernel", q.kernel.Image, "-initrd", q.initrd, "-append", kernelArguments,
	}
	if q.loads {
		args = append(args, "-loadvm", snapshot)
		q.loads = false
	}
	for i := range nicCount {
		args = append(args, "-netdev", fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no", i, tapName(i)),
			"-device", fmt.Sprintf("virtio-net-pci,id=nic%d,netdev=net%d,mac=%s,romfile=", i, i, mac(i)))
	}
	log, err := os.Create(filepath.Join(q.dir, "qemu.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	running, err := q.launch(args, log)
	if err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	ended := make(chan struct{})
	q.running, q.ended = running, ended
	go func() {
		_ = running.Wait()
		close(ended)
	}()
	if err := q.connect(ctx, qmp, port); err != nil {
		q.Stop()
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("boot: %w\n%s\nconsole: %s", err, text, console)
	}
	return nil
}

// bootLimit is how long a boot may take until the agent answers; tests shorten it.
var bootLimit = 8 * time.Minute

func (q *qemu) connect(ctx context.Context, qmp, port string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if q.monitor, err = q.dial(ctx, qmp); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	q.replies = bufio.NewReader(q.monitor)
	if _, err := q.replies.ReadBytes('\n'); err != nil {
		return fmt.Errorf("monitor: greeting: %w", err)
	}
	if err := q.control("qmp_capabilities", map[string]any{}); err != nil {
		return err
	}
	if q.line, err = q.dial(ctx, port); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	q.agent.Store(agent.NewClient(q.line))
	// A request waits in the port until the agent reads it.
	_, err = q.agent.Load().Do(ctx, agent.Request{Command: "true"})
	return err
}

// dial waits for QEMU to make a socket.
func (q *qemu) dial(ctx context.Context, path string) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-q.ended:
			return nil, errors.New("qemu ended")
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// controlLimit is how long QEMU may take to answer: a snapshot is as large as the memory in use.
const controlLimit = 3 * time.Minute

// control runs a command of QEMU's monitor.
func (q *qemu) control(name string, arguments map[string]any) error {
	b, err := json.Marshal(map[string]any{"execute": name, "arguments": arguments})
	if err != nil {
		return err
	}
	if err := q.monitor.SetDeadline(time.Now().Add(controlLimit)); err != nil {
		return err
	}
	if _, err := q.monitor.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("monitor: %s: %w", name, err)
	}
	for {
		l, err := q.replies.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("monitor: %s: %w", name, err)
		}
		var reply struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		switch err := json.Unmarshal(l, &reply); {
		case err != nil:
			return fmt.Errorf("monitor: %s: %w", name, err)
		case reply.Error != nil:
			return fmt.Errorf("monitor: %s: %s", name, reply.Error.Desc)
		case reply.Return != nil:
			// A command for people answers with a string, which is empty without an error.
			if text := ""; json.Unmarshal(reply.Return, &text) == nil && text != "" {
				return fmt.Errorf("monitor: %s: %s", name, strings.TrimSpace(text))
			}
			return nil
		}
		// Else an event.
	}
}

func (q *qemu) Run(ctx context.Context, command string, limit time.Duration) (string, int, error) {
	return q.agent.Load().Run(ctx, command, limit)
}

func (q *qemu) Put(ctx context.Context, path string, data []byte, mode uint32) error {
	return q.agent.Load().Put(ctx, path, data, mode)
}

func (q *qemu) SetLink(_ context.Context, nic int, in bool) error {
	return q.control("set_link", map[string]any{"name": fmt.Sprintf("nic%d", nic), "up": in})
}

// rebootCommand is run by the agent.
var rebootCommand = "systemctl reboot"

// shutdownLimit is how long an orderly reboot may take to switch off.
const shutdownLimit = 3 * time.Minute

func (q *qemu) Reboot(ctx context.Context) error {
	// The agent may end before it answers.
	if _, _, err := q.Run(ctx, rebootCommand, time.Minute); err != nil && !errors.Is(err, agent.ErrGone) {
		return fmt.Errorf("reboot: %w", err)
	}
	select {
	case <-q.ended:
	case <-time.After(shutdownLimit):
		return fmt.Errorf("reboot: not off within %v", shutdownLimit)
	case <-ctx.Done():
		return ctx.Err()
	}
	q.Stop()
	return q.Start(ctx)
}

// snapshot is the name of the snapshot in a disk.
const snapshot = "settled"

// save adds a snapshot to the disk and switches off.
func (q *qemu) save() error {
	err := q.control("human-monitor-command", map[string]any{"command-line": "savevm " + snapshot})
	if err != nil {
		return err
	}
	q.quit()
	return nil
}

// quit ends QEMU, but does not kill it: the disk's own tables must be complete.
func (q *qemu) quit() {
	_ = q.control("quit", map[string]any{})
	<-q.ended
	q.Stop()
}

func (q *qemu) Cut(ctx context.Context) error {
	q.quit()
	return q.Start(ctx)
}

func (q *qemu) Stop() {
	for _, c := range []net.Conn{q.monitor, q.line} {
		if c != nil {
			c.Close()
		}
	}
	q.monitor, q.line = nil, nil
	if q.running == nil {
		return
	}
	if err := q.running.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "stop qemu: %v\n", err)
	}
	<-q.ended
	q.running = nil
}
