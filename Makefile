# make demo   build and run the main job on private test hosts
# make test   every test: unit, simulated, real (root)
# The rest:   build install lint generate fmt test-unit sim soak bench fuzz cover

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.1.4
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS      = -s -w -X main.version=$(VERSION)
PREFIX      ?= /usr/local
TESTFLAGS   ?= -race -timeout 12m
FUZZTIME    ?= 10s
MODULE       = nicteam
# Packages of which nothing, tests included, shares memory between goroutines.
ALONE        = ./internal/sim ./modes/... ./monitor/chart
# For example: make bench BENCHFLAGS="-only tcp -rounds 9"
BENCHFLAGS  ?=
KERNELFLAGS ?=
ROUNDS      ?= 5
# Tests that judge more with -soak.
SOAK        ?= FailoverGap|GroupsGap|RouterForTenLifetimes|NICUnplugged|ELBAdoptsADeadMembersAddress|ELBSwitchesLive
# Random lives of a team on a host, by itself: make soak SOAK=none LIVES=1000
LIVES       ?= 1000
SEEDS       ?= 1000
START       ?= 0

# A program with the race detector waits at its end for a second, unless told not to; tests start hundreds.
export GORACE ?= atexit_sleep_ms=0

.PHONY: build install demo test test-unit test-kernels sim soak bench fuzz lint generate fmt cover tools clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/nicteam ./cmd/nicteam

install: build
	install -D -m 0755 bin/nicteam $(DESTDIR)$(PREFIX)/sbin/nicteam
	install -D -m 0644 packaging/systemd/nicteam@.service $(DESTDIR)/lib/systemd/system/nicteam@.service

demo: build
	@scripts/need iproute2
	bin/nicteam demo

test: build tools
	# Without the race detector these are ten times as fast, and their long searches have nothing for it: with it they go in short.
	CGO_ENABLED=0 $(GO) test -trimpath $(filter-out -race,$(TESTFLAGS)) $(ALONE)
	$(GO) test $(TESTFLAGS) -short $(ALONE)
	$(GO) test $(TESTFLAGS) $$($(GO) list ./... | grep -vxF -e '$(MODULE)/internal/systest' $$($(GO) list $(ALONE) | sed 's/^/-e /'))
	# By itself: its hosts have traffic, which wants both processors.
	$(GO) test $(TESTFLAGS) ./internal/systest

# Without root: the tests that need network namespaces skip themselves and say so.
test-unit:
	$(GO) test -race -short ./internal/frame ./internal/config ./internal/control ./internal/tui ./modes/... ./monitor/... ./team/... ./internal/sim ./cmd/...

# Random worlds of the simulated network: SEEDS of them, from START on (0: anywhere).
sim:
	$(GO) test -run 'RandomWorlds' -timeout 60m ./internal/sim -v -seeds $(SEEDS) -start $(START)

# What a machine full of other work decides and `make test` only tells: gaps and losses of failovers and changes, ROUNDS
# times. The machine should have nothing else to do.
soak: build tools
	$(GO) test -timeout 120m -count $(ROUNDS) -run '$(SOAK)' ./internal/systest -soak
	$(GO) test -timeout 240m -run 'RandomLives' ./internal/systest -lives $(LIVES)

bench: build
	scripts/need openvswitch-switch iperf3 iproute2
	$(GO) run ./internal/lab/bench -binary bin/nicteam -o bench.json $(BENCHFLAGS)

# The real tests on Debian's own kernels, in machines that QEMU emulates; no KVM. docs/kernels.md says more.
# For example: make test-kernels KERNELFLAGS="-packages host -run Isolation"
test-kernels:
	@scripts/need qemu-system-x86 seabios kmod iproute2 iputils-ping nftables ethtool procps util-linux
	$(GO) run ./internal/lab/kernels $(KERNELFLAGS)

fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run: make fmt'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@GO=$(GO) scripts/generated

# The programs of the fast path and of the lab anew from their bpf/. What comes of it is committed, so nobody needs clang to build.
generate:
	@scripts/need clang-14 llvm-14 libbpf-dev
	$(GO) generate ./...

fmt:
	gofmt -w .

cover:
	$(GO) test -coverprofile=bin/cover.out ./... && $(GO) tool cover -func=bin/cover.out | tail -1

# What the tests and the demo use besides Go, installed if missing.
tools:
	@scripts/need iproute2 iputils-ping nftables iptables ethtool procps gcc libc6-dev tmux prometheus openvswitch-switch

clean:
	rm -rf bin bench.json
