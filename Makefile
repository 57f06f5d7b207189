# make help lists the targets. Only Go, a C compiler and make have to be there; what else a target wants is
# installed by .ci/need when it runs as root on Debian, and named in a message otherwise.

GO       = go
FUZZTIME = 60s
BUILD    = $(GO) build -trimpath -ldflags='-s -w'
BIN      = bin
PREFIX   = /usr/local
DESTDIR  =

.PHONY: help build test check lint cross reach coverage coverage-all unit reader test-system bench fuzz model mutants proof soak vuln release reproducible demo install deb clean

help:
	@echo 'make build        the programs, in bin/'
	@echo 'make demo         one message through the spool, without root, in a directory of its own'
	@echo 'make test         formatting, vet, lints, builds for the other systems, all unit tests'
	@echo 'make test-system  as root on a Debian machine to throw away: real clients, inetds and mail servers'
	@echo 'make bench        speed, latency and memory beside their floors and Postfix'
	@echo 'make fuzz         every fuzz target for FUZZTIME (now $(FUZZTIME))'
	@echo 'make model        every state of the spool protocol, within bounds, and each check left out in turn'
	@echo 'make mutants      changes that break spoolfmt and the dot reader: the tests must notice'
	@echo 'make proof        as root: the model, mutants, many crash states, every fault, cuts of file systems; see PROOF.md'
	@echo 'make soak         as root: an hour of mixed load, kills and reloads; SOAK=5m is shorter'
	@echo 'make coverage-all as root: what unit tests, scripts and injected faults reach together, package by package'
	@echo 'make reach        the packages that what strangers send can reach, with their lines'
	@echo 'make install      the programs, manuals and completions below $$(DESTDIR)$$(PREFIX)'
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

bench: build
	@.ci/need root postfix inetd=openbsd-inetd gcc mkfs.ext4=e2fsprogs
	$(GO) run ./bench -report bench $(BENCHFLAGS)

fuzz:
	@.ci/fuzz $(FUZZTIME)

model:
	@model/run

mutants:
	$(GO) run ./internal/tools/mutants

proof: build model mutants reproducible
	@.ci/need root strace
	CRASH_STATES=100 PROOF_FAULTS=all CUTS=300 $(GO) test -tags system -count=1 -timeout 60m -v \
		-run 'TestCrashRecords|TestFaults|TestShortWrites|TestCuts' ./internal/systest/crash ./internal/systest/faults

soak: build
	@.ci/need root
	SOAK=$${SOAK:-1h} $(GO) test -tags system -count=1 -timeout 24h -v -run 'TestSoak$$' ./internal/systest/soak

# The database is not reachable from every machine, so this is no gate.
vuln:
	CGO_ENABLED=0 $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

reproducible:
	@.ci/reproducible

release:
	@.ci/release

demo: build
	@contrib/demo/demo

install: build
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/smap bin/smapd $(DESTDIR)$(PREFIX)/sbin/
	rm -f $(DESTDIR)$(PREFIX)/sbin/smap-server # of an installation when smap was two programs
	install -m 755 bin/smapq $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 contrib/completion/smapq.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/smapq
	install -m 644 contrib/completion/_smapq $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 contrib/completion/smapq.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
	for m in man/*.[1-9]; do \
		d=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; install -d $$d && install -m 644 $$m $$d/ || exit 1; \
	done

deb: build
	@contrib/debian/build

clean:
	rm -rf bin build
