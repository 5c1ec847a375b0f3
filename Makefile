# SPDX-License-Identifier: MIT
# make help lists the targets.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
MISSPELL     = github.com/golangci/misspell/cmd/misspell@v0.8.0
GOTESTSUM    = gotest.tools/gotestsum@v1.13.0
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.1.4
BINARY      ?= bin/nicteam
# The same in every clone: no tags, and of a length that does not follow from the number of objects.
BUILD       ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
LDFLAGS      = -s -w -X main.build=$(BUILD)
TESTFLAGS   ?= -race -timeout 20m
FUZZTIME    ?= 10s
MODULE       = nicteam
# Packages of which nothing starts a goroutine (internal/goroutines_test.go), and the simulated network.
ALONE        = ./internal/sim ./modes/... ./monitor/chart ./scripts/release
# Packages whose tests take longest are started first, and since most tests wait, more packages at a time than there are
# processors.
FIRST        = ./internal/host ./internal/fastpath ./internal/relay ./internal/lab ./internal/host/masquerade
ABREAST     ?= 4
# What fails beside others is run once more, alone, and that decides.
ONCE_MORE    = $(GO) run $(GOTESTSUM) --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures 5
# For example: make bench BENCHFLAGS="-only tcp -rounds 9"
BENCHFLAGS  ?=
# For example: make bench-count COUNTFLAGS="-only tcp -subjects 'fastpath (xor|elb)'"
COUNTFLAGS  ?=
KERNELFLAGS ?=
HOSTS       ?=
SCENARIO    ?=
HOSTFLAGS   ?=
ROUNDS      ?= 5
# For example: make test-ha HA='Rounds/elb' HAROUNDS=3
HA          ?= HA|EqualServers|TwoHosts
HAROUNDS    ?= 20
# Tests that judge more with -soak.
SOAK        ?= FailoverGap|GroupsGap|RouterForTenLifetimes|NICUnplugged|ELBAdoptsADeadMembersAddress|ELBSwitchesLive
# 200 kills and restarts at 20 000 frames a second: make soak SOAK='Kills|LoseNothing|IntoAnotherLayout' ROUNDS=1
# Random lives of a team on a host, by itself: make soak SOAK=none LIVES=1000
LIVES       ?= 1000
SEEDS       ?= 1000
START       ?= 0

# With the race detector a program waits for a second at its end, unless told not to; tests start hundreds.
export GORACE ?= atexit_sleep_ms=0

.PHONY: help build demo picture test test-unit test-kernels test-hosts test-ha sim soak bench bench-count fuzz lint \
	vuln generate fmt cover tools clean

## bin/nicteam, one static binary
build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/nicteam

## a team on private test hosts, with traffic, in the live graph (root)
demo: build
	@scripts/need iproute2
	bin/nicteam demo

## docs/demo.svg and docs/demo-dark.svg from a real run on test hosts (root)
picture: build
	@scripts/need iperf3 iproute2
	scripts/picture docs/demo

## every test: unit, simulated, real (root)
test: build tools
	# Ten times as fast without the race detector, which finds nothing where there is one goroutine. Of monitor and tui
	# these are the tests in files with the build constraint !race, of fastpath those that compare the programs with Go.
	CGO_ENABLED=0 $(GO) test -trimpath $(filter-out -race,$(TESTFLAGS)) -short $(ALONE) ./monitor ./monitor/traffic \
		./internal/tui
	CGO_ENABLED=0 $(GO) test -trimpath $(filter-out -race,$(TESTFLAGS)) -run 'AsTheRelay$$|AsGo$$' ./internal/fastpath
	# Random worlds of each kind, and searches, run abreast: with it they show that worlds share nothing.
	$(GO) test $(TESTFLAGS) -short -run 'TestRandom|TestSearch$$' ./internal/sim ./modes/lacp
	$(ONCE_MORE) --rerun-fails-abort-on-data-race --packages "$(FIRST) $$($(GO) list ./... | \
		grep -vxF -e '$(MODULE)/internal/systest' $$($(GO) list $(ALONE) $(FIRST) | sed 's/^/-e /') | tr '\n' ' ')" \
		-- $(TESTFLAGS) -p $(ABREAST)
	# By itself, since its traffic needs both processors; without the race detector, which the binary does not have, and
	# compiled as that. It builds the binary itself, of which go knows nothing: no result of an earlier run counts.
	CGO_ENABLED=0 $(ONCE_MORE) --packages ./internal/systest -- -trimpath -count=1 $(filter-out -race,$(TESTFLAGS))

## tests without root; those that need network namespaces skip and say so
test-unit:
	$(GO) test -short $(ALONE) ./monitor ./monitor/traffic ./internal/tui
	$(GO) test -race -short ./internal/frame ./internal/config ./internal/settings ./internal/control ./internal/tui \
		./monitor/... ./team/... ./cmd/... ./scripts/...

# SEEDS worlds, from seed START on (0: a random one).
## random worlds of the simulated network, and figures of link watches in it
sim:
	$(GO) test -run 'RandomWorlds' -timeout 60m ./internal/sim -v -seeds $(SEEDS) -start $(START)
	# 100 silent losses of each kind, a day of standstills, ten minutes of flaps.
	$(GO) test -run 'SilentLossIsShort|DayOfStandstills|FastFlap' -timeout 60m ./internal/sim -v -long

# `make test` only prints the gaps and losses of failovers and changes, since a busy machine decides them. Here they are
# judged, ROUNDS times, on a machine that has nothing else to do.
## failover gaps judged, and random lives of a team (root)
soak: build tools
	$(GO) test -timeout 120m -count $(ROUNDS) -run '$(SOAK)' ./internal/systest -soak
	$(GO) test -timeout 240m -run 'RandomLives' ./internal/systest -lives $(LIVES)
	$(GO) test -timeout 60m -run 'ChangeOverWithControlFrames' ./internal/fastpath -soak
	$(GO) test -timeout 60m -run 'DatapathChangesLoseNothing' ./internal/systest -soak

## throughput against a plain NIC and Open vSwitch (root); figures to bench.json
bench: build
	scripts/need openvswitch-switch iperf3 iproute2
	$(GO) run ./internal/lab/bench -binary bin/nicteam -o bench.json $(BENCHFLAGS)

# docs/performance.md says more.
## what frames cost by an instruction clock, on Debian's kernels under QEMU (root); figures to bench-count.json
bench-count:
	@scripts/need qemu-system-x86 seabios kmod iproute2 nftables procps util-linux
	$(GO) run ./internal/lab/count $(COUNTFLAGS)

# docs/kernels.md says more.
# For example: make test-kernels KERNELFLAGS="-packages host -run Isolation"
## the real tests on Debian's kernels, under QEMU without KVM (root)
test-kernels:
	@scripts/need qemu-system-x86 seabios kmod iproute2 iputils-ping nftables ethtool procps util-linux keepalived
	$(GO) run ./internal/lab/kernels $(KERNELFLAGS)

# docs/hosts.md says more. For example: make test-hosts HOSTS=networkd,dhclient SCENARIO=reboot
## nicteam in machines with each network manager, under QEMU without KVM (root)
test-hosts: build
	@scripts/need qemu-system-x86 qemu-utils seabios mmdebstrap e2fsprogs dnsmasq-base openssh-client kmod iproute2 \
		iputils-ping
	$(GO) build -o bin/hosts ./internal/lab/hosts
	bin/hosts images -hosts "$(HOSTS)"
	bin/hosts run -hosts "$(HOSTS)" -scenarios "$(SCENARIO)" -o bin/hosts.md $(HOSTFLAGS)

# docs/ha.md says more. Each mode by each data path takes HAROUNDS rounds of some two minutes.
## two hosts with one address: every failure in random order, medians (root)
test-ha:
	@scripts/need keepalived conntrackd haproxy nftables procps iproute2 openvswitch-switch
	CGO_ENABLED=0 $(GO) test -trimpath -count=1 -timeout 48h -v -run '$(HA)' ./internal/systest -ha $(HAROUNDS)

## each fuzz target for FUZZTIME
fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

## formatting, vet, staticcheck, spelling, lines, licences, generated objects, manual pages
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run: make fmt'; exit 1; }
	$(GO) vet ./...
	@test -z "$$($(GO) fix -diff ./...)" || { $(GO) fix -diff ./...; echo 'run: go fix ./...'; exit 1; }
	$(GO) run $(STATICCHECK) ./...
	@# Words of tests that are wrong on purpose, and a kernel field's name.
	git ls-files -z -- '*.go' '*.md' '*.[ch]' Makefile scripts | grep -zv /testdata/ | \
		xargs -0 $(GO) run $(MISSPELL) -error -i bandwith,adress,prefered
	$(GO) run ./scripts/lint
	@GO=$(GO) scripts/generated
	@GO=$(GO) scripts/manual

## the libraries' known vulnerabilities, from vuln.go.dev
vuln:
	$(GO) run $(GOVULNCHECK) ./...

# The objects are committed, so that building needs no clang.
## the eBPF objects from bpf/, and docs/licences.md
generate:
	@scripts/need clang-14 llvm-14 libbpf-dev
	$(GO) generate ./...
	$(GO) run ./scripts/lint -write

## gofmt
fmt:
	gofmt -w .

## coverage of all tests
cover:
	$(GO) test -coverprofile=bin/cover.out ./... && $(GO) tool cover -func=bin/cover.out | tail -1

## installs what tests and demo use besides Go
tools:
	@scripts/need iproute2 iputils-ping nftables iptables ethtool procps gcc libc6-dev tmux prometheus \
		openvswitch-switch systemd util-linux openssh-server openssh-client dhcpcd-base keepalived conntrackd \
		bash-completion

include packaging/release.mk

## removes what was built
clean:
	rm -rf bin bench.json bench-count.json

## this list
help:
	@awk '/^## / { text = substr($$0, 4) } \
		/^[a-z-]+:/ { sub(":.*", ""); if (text) printf "  make %-14s %s\n", $$1, text; text = "" }' $(MAKEFILE_LIST)
