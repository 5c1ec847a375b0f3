// SPDX-License-Identifier: MIT

package ha

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Sizes say how much traffic there is; the zero value is that of docs/ha.md.
type Sizes struct {
	Requests     int   // new connections a second; 200
	File         int64 // octets of each download; 100 MiB
	DownloadRate int64 // octets a second; 20 MiB
}

// Traffic is all that goes through a site while parts of it fail.
type Traffic struct {
	site     *Site
	sizes    Sizes
	requests *Requests
	pulses   *Pulses
	session  *Session
}

// StartTraffic starts requests, pulses and a session. It returns when answers come.
func (s *Site) StartTraffic(ctx context.Context, z Sizes) (*Traffic, error) {
	if z.Requests == 0 {
		z.Requests = 200
	}
	if z.File == 0 {
		z.File = 100 << 20
	}
	if z.DownloadRate == 0 {
		z.DownloadRate = 20 << 20
	}
	t := &Traffic{site: s, sizes: z}
	t.requests = StartRequests(s.Client, netip.AddrPortFrom(ServiceAddress, 80), z.Requests)
	var err error
	if t.pulses, err = StartPulses(ctx, s.Client, netip.AddrPortFrom(ServiceAddress, 7)); err == nil {
		t.session, err = StartSession(ctx, s.Client, netip.AddrPortFrom(ServiceAddress, 23))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start traffic: %w", err), t.Stop())
	}
	begun := time.Now()
	err = await(ctx, requestLimit, func() bool {
		a, _ := t.requests.between(begun, time.Now())
		return a.By["real1"] >= 10 && a.By["real2"] >= 10
	})
	if err != nil {
		a, _ := t.requests.between(begun, time.Now())
		return nil, errors.Join(fmt.Errorf("start traffic: no answers: %w: %v", err, a), t.Stop())
	}
	return t, nil
}

// download starts one.
func (t *Traffic) download(ctx context.Context) *Download {
	return StartDownload(ctx, t.site.Client, netip.AddrPortFrom(ServiceAddress, 8080), t.sizes.File,
		t.sizes.DownloadRate)
}

// Between returns what requests and pulses saw, once every request is complete.
func (t *Traffic) Between(from, to time.Time) (Answers, Beat) {
	a := t.requests.Between(from, to)
	return a, t.pulses.Between(from, to)
}

// Stop ends all. Stopping twice is fine.
func (t *Traffic) Stop() error {
	t.requests.Stop()
	var errs []error
	if t.pulses != nil {
		errs = append(errs, t.pulses.Stop())
	}
	if t.session != nil {
		_ = t.session.Close()
	}
	return errors.Join(errs...)
}
