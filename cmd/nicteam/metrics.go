package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/metrics"
)

// scrapesAt is the address when none is given.
const scrapesAt = "127.0.0.1:9779"

func (a *app) metricsCmd() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "metrics",
		Short: "Tell Prometheus of all teams of this host",
		Long: `Writes the figures of all teams of this host in Prometheus' text format, once. With --listen it
answers scrapes of http://ADDR/metrics until it is interrupted, with the teams that there are at
that moment. A team whose process does not answer is nicteam_up 0.

Without an address that is 127.0.0.1:9779. Whoever reaches the address can read the figures; a port
alone is on 127.0.0.1, which is this host only, 0.0.0.0 and [::] are everybody. packaging/ has alerts for Prometheus and a dashboard for Grafana.`,
		Example: `  nicteam metrics
  nicteam metrics --listen
  nicteam metrics --listen 192.0.2.1:9779
  nicteam metrics | grep nicteam_member_up`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			asked := cmd.Flags().Changed("listen")
			if len(given) == 1 { // a flag that may stand alone leaves a word after it to the arguments
				if !asked || listen != scrapesAt {
					return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s: %q is one too many", cmd.CommandPath(),
						given[0]), Why: "the figures are those of all teams",
						Fix: "nicteam metrics, or nicteam metrics --listen ADDR"}
				}
				listen = given[0]
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
	c.Flags().StringVar(&listen, "listen", "", "answer scrapes at this address")
	c.Flags().Lookup("listen").NoOptDefVal = scrapesAt
	return c
}

// permitted is an error where this user may not ask one of the teams: what he is told of it would be false.
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

// serveMetrics answers scrapes until a signal comes. Its end by a service manager is no failure.
func (a *app) serveMetrics(address string) error {
	address, err := scrapeAddress(address)
	if err != nil {
		return err
	}
	ctx := a.interruptible()
	a.stream = true
	l, err := net.Listen("tcp", address)
	if err != nil {
		return &api.Problem{Kind: listenKind(err), What: "listen at " + address, Why: err.Error(),
			Fix: "take an address of this host and a port that is free", Err: err}
	}
	log := a.log(slog.LevelInfo)
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
	log.Info("scrapes are answered", "at", "http://"+l.Addr().String()+"/metrics")
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	var sig interrupted
	if errors.As(context.Cause(ctx), &sig) && sig.sig == syscall.SIGTERM {
		return nil
	}
	return context.Cause(ctx)
}

// scrapeAddress reads an address; nobody but this host is let in unless that is said.
func scrapeAddress(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	n, e := strconv.ParseUint(port, 10, 16)
	if err != nil || e != nil {
		return "", &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--listen: %q is no address with a port", text),
			Why: "scrapes come to an address and a port", Fix: "write --listen " + scrapesAt}
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
