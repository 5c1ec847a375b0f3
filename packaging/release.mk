# SPDX-License-Identifier: MIT
# Installation, packages and releases; the Makefile includes it. docs/install.md is for those who install.

NFPM       = github.com/goreleaser/nfpm/v2@v2.45.2
PREFIX    ?= /usr/local
SBINDIR   ?= $(PREFIX)/sbin
DATADIR   ?= $(PREFIX)/share
ZSHDIR    ?= $(DATADIR)/zsh/site-functions
# systemd reads these two, whatever PREFIX is.
LIBDIR    ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,/usr/local/lib)
UNITS      = nicteam@.service nicteam-giveback@.service nicteam-metrics.service
VERSION    = $(shell sed -n 's/^const version = "\(.*\)"/\1/p' cmd/nicteam/main.go)
# All times are the commit's, so that two builds of it are the same bits.
EPOCH      = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null))
# Packages between two releases are older than the next one, and newer by their commit's time.
PRERELEASE = $(shell git describe --exact-match --match 'v$(VERSION)' >/dev/null 2>&1 || \
	date -u -d @$(EPOCH) +pre%Y%m%d%H%M%S)
# Whom a package names; who publishes packages sets it.
MAINTAINER ?= nicteam authors <authors@nicteam.invalid>
ARCHES    ?= amd64 arm64
FORMATS   ?= deb rpm apk archlinux
DIST       = bin/dist
NATIVE     = env -u GOOS -u GOARCH CGO_ENABLED=0 $(GO)

.PHONY: share install uninstall stage packages image release test-packages

## manual pages, completions and licences, in bin/share
share:
	rm -rf bin/share
	mkdir -p bin/share
	$(NATIVE) build -trimpath -o bin/share/nicteam ./cmd/nicteam
	SOURCE_DATE_EPOCH=$(EPOCH) bin/share/nicteam man bin/share/man
	for s in bash zsh fish; do bin/share/nicteam completion $$s >bin/share/$$s; done
	rm bin/share/nicteam
	$(NATIVE) run ./scripts/release notices bin/share/copyright

# The program is replaced at once, since a team's next process may be started meanwhile.
## the binary, its units, manual pages and completions, under DESTDIR and PREFIX
install: build $(if $(STAGING),,share)
	install -D -m 0755 $(BINARY) $(DESTDIR)$(SBINDIR)/.nicteam.new
	mv -f $(DESTDIR)$(SBINDIR)/.nicteam.new $(DESTDIR)$(SBINDIR)/nicteam
	install -d $(DESTDIR)$(LIBDIR)/systemd/system
	for u in $(UNITS); do sed 's|/usr/local/sbin|$(SBINDIR)|' packaging/systemd/$$u \
		>$(DESTDIR)$(LIBDIR)/systemd/system/$$u; done
	install -D -m 0644 packaging/sysusers.d/nicteam.conf $(DESTDIR)$(LIBDIR)/sysusers.d/nicteam.conf
	install -D -m 0644 packaging/tmpfiles.d/nicteam.conf $(DESTDIR)$(LIBDIR)/tmpfiles.d/nicteam.conf
	for p in $$(cd bin/share/man && ls man?/*); do \
		install -D -m 0644 bin/share/man/$$p $(DESTDIR)$(DATADIR)/man/$$p; done
	install -D -m 0644 bin/share/bash $(DESTDIR)$(DATADIR)/bash-completion/completions/nicteam
	install -D -m 0644 bin/share/zsh $(DESTDIR)$(ZSHDIR)/_nicteam
	install -D -m 0644 bin/share/fish $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/nicteam.fish
	install -D -m 0644 bin/share/copyright $(DESTDIR)$(DATADIR)/doc/nicteam/copyright

# Settings stay. A team that would go on without a program stays, and so does the program.
## gives all NICs back and removes what make install has installed
uninstall:
	@if [ -z '$(DESTDIR)' ] && [ -x $(SBINDIR)/nicteam ]; then $(SBINDIR)/nicteam unit release; fi
	rm -f $(DESTDIR)$(SBINDIR)/nicteam $(UNITS:%=$(DESTDIR)$(LIBDIR)/systemd/system/%) \
		$(DESTDIR)$(LIBDIR)/sysusers.d/nicteam.conf $(DESTDIR)$(LIBDIR)/tmpfiles.d/nicteam.conf \
		$(DESTDIR)$(DATADIR)/man/man[578]/nicteam[.-]*[578] \
		$(DESTDIR)$(DATADIR)/bash-completion/completions/nicteam $(DESTDIR)$(ZSHDIR)/_nicteam \
		$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/nicteam.fish
	rm -rf $(DESTDIR)$(DATADIR)/doc/nicteam

# What each package has, with the times of the commit, whatever the umask: bin/stage/ARCH.
stage: share
	rm -rf bin/stage
	for a in $(ARCHES); do \
		$(MAKE) --no-print-directory install STAGING=1 GOARCH=$$a BINARY=bin/stage/nicteam DESTDIR=bin/stage/$$a \
			PREFIX=/usr || exit; \
		gzip -9n bin/stage/$$a/usr/share/man/*/*; \
		cp -r packaging/scripts packaging/lintian-overrides bin/stage/$$a; \
		sed 's|VERSION|$(VERSION)|; s|DATE|'$$(date -u -d @$(EPOCH) +%FT%TZ)'|; s|MAINTAINER|$(MAINTAINER)|' \
			packaging/changelog.yaml >bin/stage/$$a/changelog.yaml; \
		chmod -R u=rwX,go=rX bin/stage/$$a; \
		find bin/stage/$$a -exec touch -h -d @$(EPOCH) {} +; done

# nfpm is built where the module cache has it: go install MODULE@VERSION asks a proxy also for a module that is there.
## deb, rpm, apk and pacman packages for ARCHES, in bin/dist
packages: stage
	mkdir -p $(DIST)
	rm -f $(FORMATS:%=$(DIST)/*.%) $(DIST)/*.pkg.tar.zst
	$(NATIVE) mod download $(NFPM)
	$(NATIVE) build -C "$$($(GO) env GOMODCACHE)/$(NFPM)" -o $(CURDIR)/bin/nfpm ./cmd/nfpm
	for a in $(ARCHES); do for f in $(FORMATS); do (cd bin/stage/$$a && VERSION=$(VERSION) PRERELEASE=$(PRERELEASE) \
		GOARCH=$$a MAINTAINER='$(MAINTAINER)' SOURCE_DATE_EPOCH=$(EPOCH) $(CURDIR)/bin/nfpm package --packager $$f \
		--config $(CURDIR)/packaging/nfpm.yaml --target $(abspath $(DIST))) || exit; done; done

## an image for containers for each of ARCHES, in bin/dist
image: stage
	mkdir -p $(DIST)
	for a in $(ARCHES); do \
		SOURCE_DATE_EPOCH=$(EPOCH) $(NATIVE) run ./scripts/release image bin/stage/$$a/usr/sbin/nicteam \
			bin/share/copyright $(DIST)/nicteam-$(VERSION)-image-$$a.tar || exit; done

# An archive is unpacked at /. The bill of materials is CycloneDX.
## packages, images, archives, bills of materials and their checksums, in bin/dist
release:
	rm -rf $(DIST)
	$(MAKE) --no-print-directory packages image
	for a in $(ARCHES); do n=nicteam-$(VERSION)-linux-$$a; \
		$(MAKE) --no-print-directory install STAGING=1 GOARCH=$$a BINARY=bin/stage/nicteam DESTDIR=bin/stage/$$n \
			|| exit; \
		tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@$(EPOCH) -C bin/stage \
			-cf - $$n | gzip -9n >$(DIST)/$$n.tar.gz; \
		SOURCE_DATE_EPOCH=$(EPOCH) $(NATIVE) run ./scripts/release sbom bin/stage/$$a/usr/sbin/nicteam \
			$(DIST)/$$n.cdx.json || exit; done
	cd $(DIST) && sha256sum -- * >SHA256SUMS

TRY        = bin/try-packages
TRY_ARCH   = ARCHES=$(shell $(GO) env GOHOSTARCH)

# An old and a new version, since a package is upgraded and downgraded over a running team. The new one is built twice,
# with all that a release has: here, and from a copy elsewhere that git does not know, with another umask and time zone.
## packages in a root directory with systemd: install, create, upgrade, downgrade, remove, purge; lintian, rpmlint (root)
test-packages:
	@scripts/need mmdebstrap rpm lintian rpmlint systemd iproute2 iputils-ping util-linux
	rm -rf $(TRY)/old
	$(MAKE) --no-print-directory packages $(TRY_ARCH) FORMATS='deb rpm' DIST=$(TRY)/old BUILD=packages-old \
		PRERELEASE=pre1
	$(MAKE) --no-print-directory release $(TRY_ARCH) DIST=$(TRY)/new BUILD=packages-new PRERELEASE=pre2
	umask 077 && copy=$$(mktemp -d) && trap 'rm -rf $$copy' EXIT && \
		git ls-files -z | tar -c --null -T - | tar -x --no-same-permissions -C $$copy && \
		TZ=Asia/Tokyo LC_ALL=C $(MAKE) --no-print-directory -C $$copy release $(TRY_ARCH) \
			DIST=$(CURDIR)/$(TRY)/again BUILD=packages-new PRERELEASE=pre2 SOURCE_DATE_EPOCH=$(EPOCH)
	diff -r $(TRY)/new $(TRY)/again
	lintian --fail-on error $(TRY)/new/*.deb
	rpmlint --config packaging/rpmlint.toml $(TRY)/new/*.rpm
	[ -d $(TRY)/root ] || mmdebstrap --quiet --variant=minbase --include=systemd,rpm,iproute2,procps \
		$$(. /etc/os-release && echo $$VERSION_CODENAME) $(TRY)/root \
		$$(ls /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1)
	rm -rf $(TRY)/root/packages
	mkdir $(TRY)/root/packages
	cp -r $(TRY)/old $(TRY)/new $(TRY)/root/packages
	SOURCE_DATE_EPOCH=$(EPOCH) $(NATIVE) run ./scripts/release image bin/stage/*/usr/sbin/nicteam bin/share/copyright \
		$(TRY)/root/packages/image.tar
	$(GO) test ./internal/systest -count=1 -v -run '^Test(Packages|Image)$$' -packages $(CURDIR)/$(TRY)/root
