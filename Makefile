# make help lists the targets. Only Go, a C compiler and make have to be there; what else a target wants is
# installed by .ci/need when it runs as root on Debian, and named in a message otherwise.

GO       = go
FUZZTIME = 60s
BIN      = bin
PREFIX   = /usr/local
DESTDIR  =
TABLE    = /usr/local/etc/netperm-table
VERSION  = $(shell .ci/version)
LINK     = -s -w -X smap/netperm.defaultPath=$(TABLE) -X smap/internal/version.release=$(VERSION)
BUILD    = $(GO) build -trimpath -ldflags='$(LINK)'

.PHONY: help build test check lint cross reach coverage coverage-all unit reader test-system test-long bench fuzz model mutants mutants-auto proof soak guests filesystems vuln release reproducible demo install uninstall html deb clean

help:
	@echo 'make build        the programs, in bin/'
	@echo 'make demo         one message through the spool, without root, in a directory of its own'
	@echo 'make test         formatting, vet, lints, builds for the other systems, all unit tests'
	@echo 'make test-system  as root on a Debian machine to throw away: real clients, inetds and mail servers'
	@echo 'make test-long    as root: the package in a Debian with systemd, from install to purge; the image in containers by buildah; the pictures'
	@echo 'make bench        speed, latency and memory beside their floors and Postfix'
	@echo 'make fuzz         every fuzz target for FUZZTIME (now $(FUZZTIME))'
	@echo 'make model        every state of the spool protocol, within bounds, and each check left out in turn'
	@echo 'make mutants      changes that break spoolfmt and the dot reader: the tests must notice'
	@echo 'make mutants-auto the same by rule, with gremlins, for code that strangers reach: hours'
	@echo 'make proof        as root: the model, mutants, many crash states, every fault, cuts of file systems; see PROOF.md'
	@echo 'make soak         as root: an hour of mixed load, kills and reloads; SOAK=5m is shorter'
	@echo 'make guests       as root: other kernels and machines under QEMU, every flush of five file systems; hours'
	@echo 'make filesystems  as root: MooseFS and GlusterFS, two machines each, with cuts and kills'
	@echo 'make coverage-all as root: what unit tests, scripts and injected faults reach together, package by package'
	@echo 'make reach        the packages that input from strangers can reach, with the lines of Go in each'
	@echo 'make install      what is in bin/, manuals, completions and an example table, below $$(DESTDIR)$$(PREFIX)'
	@echo 'make uninstall    removes what make install with the same PREFIX installed'
	@echo 'make html         the manuals as pages for a browser, in build/html'
	@echo 'make vuln         govulncheck: known weaknesses in what the programs link'
	@echo 'make reproducible two builds of the last commit in two places: one hash'
	@echo 'make release      source, programs for each system, bill of materials and checksums, in build/release'
	@echo 'make deb          a Debian package, in build/'

# Without cgo: smap confines all of its threads, which a program built with cgo cannot.
build:
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(BUILD) -o $(BIN)/smap ./cmd/smap
	@CGO_ENABLED=0 $(BUILD) -o $(BIN)/smapd ./cmd/smapd
	@CGO_ENABLED=0 $(BUILD) -o $(BIN)/smapq ./cmd/smapq
	@echo '$(TABLE)' >$(BIN)/.table
	@echo 'built: smap, smapd and smapq $(VERSION) in $(BIN)/, which read $(TABLE)'

# The order is from quick to slow; go test comes last, so that its closing lines close the output.
test: check reader coverage unit

check: lint cross

lint:
	@.ci/lint

cross:
	@.ci/cross

reach:
	@.ci/reach

reader:
	@.ci/reader

# Without the race detector, under which the counters would cost minutes.
CORE = ./spoolfmt ./spoolfmt/envelope ./netperm ./receiver ./courier ./courier/agent ./courier/dsn

coverage:
	@mkdir -p build
	$(GO) test -short -coverprofile=build/coverage -coverpkg=$$(echo $(CORE) | tr ' ' ,) $(CORE)
	@.ci/coverage build/coverage

coverage-all:
	@.ci/coverage-all

unit:
	$(GO) test -race ./...

test-system: build
	@.ci/need root
	$(GO) test -tags system -count=1 -timeout 30m -p 1 -parallel 6 -v ./internal/systest/...

# What takes too long, or installs too much, for every change.
test-long: build
	@.ci/need root
	$(GO) test -tags 'system long' -count=1 -timeout 30m -v -run 'TestSystemd$$|TestContainer$$|TestScreens$$' ./internal/systest/install

bench: build
	@.ci/need root postfix inetd=openbsd-inetd gcc mkfs.ext4=e2fsprogs strace
	$(GO) run ./bench -report bench $(BENCHFLAGS)

fuzz:
	@.ci/fuzz $(FUZZTIME)

model:
	@model/run

mutants:
	$(GO) run ./internal/tools/mutants

mutants-auto:
	@command -v gremlins >/dev/null || { echo 'first: go install github.com/go-gremlins/gremlins/cmd/gremlins@latest'; exit 69; }
	for p in spoolfmt/envelope receiver courier/agent; do gremlins unleash --workers 1 --timeout-coefficient 10 ./$$p || exit; done

proof: build model mutants reproducible
	@.ci/need root strace
	CRASH_STATES=100 PROOF_FAULTS=all CUTS=300 TRACES=10000 $(GO) test -tags system -count=1 -timeout 60m -v \
		-run 'TestCrashRecords|TestFaults|TestShortWrites|TestTraces|TestCuts' ./internal/systest/crash ./internal/systest/faults

soak: build
	@.ci/need root
	SOAK=$${SOAK:-1h} $(GO) test -tags system -count=1 -timeout 24h -v -run 'TestSoak$$' ./internal/systest/soak

# Nothing of it needs virtualisation by the processor. Logs are in build/guests. GUESTS=TestNFS runs only that.
GUESTS = .
guests: build
	@.ci/need root
	$(GO) test -tags 'system guests' -count=1 -timeout 12h -v -run '$(GUESTS)' ./internal/systest/guests

# It installs GlusterFS.
filesystems: build
	@.ci/need root
	$(GO) test -tags 'system long' -count=1 -timeout 30m -v -run 'TestFileSystems$$' ./internal/systest/delivery

# The database is not reachable from every machine, so this is no gate.
vuln:
	CGO_ENABLED=0 $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

reproducible:
	@.ci/reproducible

release:
	@.ci/release

demo: build
	@contrib/demo/demo

# What is in bin/ is installed, without Go: sudo often does not find it. The manuals get the paths of this installation.
install:
	@[ -x $(BIN)/smapd ] || { echo 'install: nothing is built: run make build first, as yourself' >&2; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/smap $(BIN)/smapd $(DESTDIR)$(PREFIX)/sbin/
	rm -f $(DESTDIR)$(PREFIX)/sbin/smap-server # of an installation when smap was two programs
	install -m 755 $(BIN)/smapq $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/share/examples/smap \
		$(DESTDIR)$(PREFIX)/share/smap/recipes
	install -m 644 contrib/completion/smapq.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/smapq
	install -m 644 contrib/completion/_smapq $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 contrib/completion/smapq.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
	install -m 644 contrib/netperm-table $(DESTDIR)$(PREFIX)/share/examples/smap/
	install -m 755 contrib/recipes/* $(DESTDIR)$(PREFIX)/share/smap/recipes/
	for m in man/*.[1-9]; do \
		d=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; install -d $$d && \
		sed "s|/usr/local/etc/netperm-table|$$(cat $(BIN)/.table)|; s|/usr/local/|$(PREFIX)/|" $$m >$$d/$${m##*/} && \
		chmod 644 $$d/$${m##*/} || exit 1; \
	done

uninstall:
	cd $(DESTDIR)$(PREFIX) && rm -f sbin/smap sbin/smap-server sbin/smapd bin/smapq \
		share/bash-completion/completions/smapq share/zsh/site-functions/_smapq \
		share/fish/vendor_completions.d/smapq.fish share/examples/smap/netperm-table
	for m in man/*.[1-9]; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	for r in contrib/recipes/*; do rm -f $(DESTDIR)$(PREFIX)/share/smap/recipes/$${r##*/}; done
	-cd $(DESTDIR)$(PREFIX)/share && rmdir examples/smap smap/recipes smap

# Every manual as one page of HTML each, in build/html.
html:
	@.ci/need mandoc
	@mkdir -p build/html
	@for m in man/*.[1-9]; do mandoc -T html -O style=style.css,man=%N.%S.html $$m >build/html/$${m##*/}.html || exit 1; done
	@cp contrib/picture/style.css build/html/
	@echo 'build/html: '$$(cd build/html && ls)

deb:
	@contrib/debian/build

clean:
	rm -rf bin build
