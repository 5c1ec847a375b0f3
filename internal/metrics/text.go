// SPDX-License-Identifier: MIT

package metrics

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// Handler answers scrapes. It logs metrics that cannot be gathered and answers with the rest.
func Handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// Gatherer gathers from one collector.
func Gatherer(t Team) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(t)
	return r
}

// Write writes the text once.
func Write(w io.Writer, g prometheus.Gatherer) error {
	families, err := g.Gather()
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	return nil
}
