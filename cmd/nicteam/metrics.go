// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/metrics"
	"nicteam/internal/sandbox"
)

// scrapesAt is the address when none is given.
const scrapesAt = "127.0.0.1:9779"

func (a *app) metricsCmd() *cobra.Command {
	var listen string
	var text textfileFlags
	c := &cobra.Command{
		Use:   "metrics",
		Short: "Print or serve Prometheus metrics",
		Long: `Prints the metrics of all teams of this host in Prometheus' text format. With --listen it serves them at
http://ADDRESS/metrics until it is interrupted. A team whose process does not answer has nicteam_up 0.

The default address is 127.0.0.1:9779. A port alone is on 127.0.0.1, which only this host reaches; 0.0.0.0 and [::]
are reachable from everywhere. A server that root starts becomes the user nicteam if there is one, else it
drops all capabilities. packaging/ has alerts for Prometheus and a dashboard for Grafana.

With --textfile it writes DIR/nicteam.prom for the textfile collector of node_exporter: node_bonding_slaves and
node_bonding_active of each team, as node_exporter has them of a kernel bond, so that alerts on these go on. With
--interval it does so again and again, and removes the file when it ends.`,
		Example: `  nicteam metrics
  nicteam metrics --listen
  nicteam metrics --listen 192.0.2.1:9779
  nicteam metrics | grep nicteam_member_up
  nicteam metrics --textfile /var/lib/prometheus/node-exporter --interval 15s`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			asked := cmd.Flags().Changed("listen")
			if err := text.check(cmd); err != nil {
				return err
			}
			if len(given) == 1 { // pflag: a flag with an optional value does not take the next word
				if !asked || listen != scrapesAt {
					return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("metrics: unexpected argument %q", given[0]),
						Why: "metrics are of all teams", Fix: "usage: nicteam metrics [--listen ADDRESS]"}
				}
				listen = given[0]
			}
			if text.dir != "" {
				return a.writeTextfile(&text)
			}
			running, err := a.teams(nil)
			if err != nil {
				return err
			}
			if err := a.permitted(running); err != nil {
				return err
			}
			if asked {
				return a.serveMetrics(listen)
			}
			h := a.hostMetrics(func(name string, err error) { a.warn(a.problem(err).What + ": " + a.problem(err).Why) })
			if len(running) == 0 {
				a.warn("no team runs on this host")
			}
			return metrics.Write(a.out, h)
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "serve the metrics at `ADDRESS`")
	c.Flags().Lookup("listen").NoOptDefVal = scrapesAt
	text.register(c)
	return c
}

// permitted returns an error if this user may not open a team's socket: nicteam_up 0 would be false.
func (a *app) permitted(names []string) error {
	for _, name := range names {
		c := a.client(name)
		_, err := c.Status(a.interruptible())
		c.Close()
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Kind == api.NotPermitted {
			return err
		}
	}
	return nil
}

// hostMetrics gathers from the sockets of all teams.
func (a *app) hostMetrics(failed func(name string, err error)) metrics.Host {
	return metrics.Host{
		Context: a.interruptible(),
		Teams:   func() ([]string, error) { return a.teams(nil) },
		Ask: func(ctx context.Context, name string) ([]byte, error) {
			c := a.client(name)
			defer c.Close()
			return c.Metrics(ctx)
		},
		Failed: failed,
	}
}

// serveMetrics answers scrapes until a signal. SIGTERM, as service managers send it, is no error.
func (a *app) serveMetrics(address string) error {
	address, err := scrapeAddress(address)
	if err != nil {
		return err
	}
	ctx := a.interruptible()
	a.stream = true
	l, err := net.Listen("tcp", address)
	if err != nil {
		return &api.Problem{Kind: listenKind(err), What: "listen on " + address, Why: err.Error(),
			Fix: "use an address of this host and a free port", Err: err}
	}
	log := a.log(slog.LevelInfo)
	if err := a.dropRights(log); err != nil {
		_ = l.Close()
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(a.hostMetrics(func(name string, err error) {
		log.Debug("no answer", "team", name, "err", err)
	}), log))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 30 * time.Second,
		IdleTimeout:  2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	log.Info("serving metrics", "at", "http://"+l.Addr().String()+"/metrics")
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return ended(ctx)
}

// ended is the error of a verb that a signal has ended as it should: none for SIGTERM.
func ended(ctx context.Context) error {
	var sig interrupted
	if errors.As(context.Cause(ctx), &sig) && sig.sig == syscall.SIGTERM {
		return nil
	}
	return context.Cause(ctx)
}

// metricsUser reads the sockets of teams as a member of its group, control.Group.
const metricsUser = "nicteam"

// dropRights takes root's rights from a server that anybody on the network may talk to: it becomes the user nicteam. If
// there is none, or it may not read the teams' directory, the process stays root's, without any capability.
func (a *app) dropRights(log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return nil
	}
	became := false
	var err error
	if a.readableBy(metricsUser) {
		became, err = sandbox.BecomeUser(metricsUser)
	}
	if err == nil {
		err = sandbox.KeepCapabilities()
	}
	if err == nil {
		if e := sandbox.DenyCalls(false); e != nil {
			log.Debug("no system call filter", "err", e)
		}
	}
	if err != nil {
		return &api.Problem{Kind: api.Failed, What: "drop root's rights", Why: err.Error(), Err: err,
			Fix: "start it as a user that may read " + a.dirs.RunDir}
	}
	if !became {
		log.Debug("no user may read the teams' sockets in root's place", "user", metricsUser, "dir", a.dirs.RunDir)
	}
	return nil
}

// readableBy reports whether a user's group may use the sockets: teams that come later have the group of the directory,
// too (launch.Dirs.Make gives it that).
func (a *app) readableBy(name string) bool {
	u, err := user.Lookup(name)
	if err != nil {
		return false
	}
	st, err := os.Stat(a.dirs.RunDir)
	if errors.Is(err, fs.ErrNotExist) {
		return true // the first team makes it
	}
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && strconv.FormatUint(uint64(sys.Gid), 10) == u.Gid && st.Mode().Perm()&0o050 == 0o050
}

// scrapeAddress parses HOST:PORT. The default host is 127.0.0.1, so that other hosts get in only on request.
func scrapeAddress(text string) (string, error) {
	bad := func(what, fix string) error {
		return &api.Problem{Kind: api.Usage, What: "--listen " + text + ": " + what,
			Why: "want HOST:PORT or a port from 0 to 65535", Fix: "use " + fix}
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if ip := net.ParseIP(strings.Trim(text, "[]")); ip != nil || strings.Contains(text, ".") {
			return "", bad("port missing", net.JoinHostPort(strings.Trim(text, "[]"), "9779"))
		}
		host, port = "", text
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", bad(fmt.Sprintf("%q is not a port", port), scrapesAt)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func listenKind(err error) api.ExitCode {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return api.Conflict
	case errors.Is(err, syscall.EACCES):
		return api.NotPermitted
	}
	return api.Failed
}
