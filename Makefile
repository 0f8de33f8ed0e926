# `make` builds the three binaries; `make help` lists the rest.

GO  ?= go
BUF ?= $(TOOLS)/buf@$(BUF_VERSION)/buf
# BUF=buf uses an installed one.
OWN_BUF = $(filter $(TOOLS)/%,$(BUF))

# Tools are built at these versions, into .tools, when a target first needs them.
TOOLS                      := $(CURDIR)/.tools
BUF_VERSION                := v1.75.0
PROTOC_GEN_GO_VERSION      := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
STATICCHECK_VERSION        := v0.8.2
GRPCURL_VERSION            := v1.9.4

PROTOC_GEN_GO      := $(TOOLS)/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)/protoc-gen-go
PROTOC_GEN_GO_GRPC := $(TOOLS)/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION)/protoc-gen-go-grpc
STATICCHECK        := $(TOOLS)/staticcheck@$(STATICCHECK_VERSION)/staticcheck
GRPCURL            := $(TOOLS)/grpcurl@$(GRPCURL_VERSION)/grpcurl

# The race detector needs cgo and a C compiler.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null && echo -race)

# Modules of their own, so that their dependencies are not dependencies of the main module.
PEERS     := client/failover/peers
COMPARE   := supervisor/compare
PACKAGING := deploy/packaging
E2E       := deploy/kubernetes/e2e

# The contracts must be compatible with the last tagged version or, before the first tag, with the first commit that
# contains them.
BREAKING_AGAINST ?= $(or $(shell git describe --tags --abbrev=0 2>/dev/null),$(shell git log --format=%H -- buf.yaml | tail -n 1))

# Without gRPC's own trace pages, which nothing here serves, the programs are smaller and take a megabyte less memory.
TAGS := -tags grpcnotrace

.PHONY: build
build: ## build counterd, supervisor and crashlab into bin/
	$(GO) build $(TAGS) -o bin/ ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),unknown)
STAMP   := example.com/crashlab/supervisor/version.stamped=$(VERSION)

.PHONY: static
static: ## build static binaries for Linux, stamped with VERSION, into bin/static/
	CGO_ENABLED=0 GOOS=linux $(GO) build $(TAGS) -trimpath -ldflags '-s -w -X $(STAMP)' -o bin/static/ ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab

IMAGE ?= crashlab:$(VERSION)
# The first one that works; docker needs its daemon.
BUILDER ?= $(shell for tool in docker podman buildah; do $$tool info >/dev/null 2>&1 && echo $$tool && break; done)

.PHONY: image
image: static ## build the container image IMAGE with docker, podman or buildah
	@[ -n "$(BUILDER)" ] || { echo "make image: neither docker, podman nor buildah works here"; exit 1; }
	$(BUILDER) build -t $(IMAGE) .

.PHONY: demo
demo: build ## make the same 50 calls to a crashing cluster under two policies; under a minute
	@deploy/demo.sh

.PHONY: run-cluster
run-cluster: build ## run the cluster of deploy/cluster.yaml in the foreground; Ctrl-C stops it
	@bin/supervisor --config deploy/cluster.yaml

.PHONY: live
live: build ## run the cluster of deploy/cluster.yaml under load, and serve a page that shows it and injects faults; Ctrl-C stops it
	@bin/crashlab live --cluster deploy/cluster.yaml

.PHONY: certs
certs: ## make or renew certificates for trying TLS, in certs/; CERTS=-new-ca replaces the authority, CERTS=-h lists more flags
	$(GO) run ./deploy/certs $(CERTS)

.PHONY: experiment
experiment: build ## run a small experiment from design to report; a minute
	@bin/crashlab experiment run deploy/experiments/quick.yaml

EXPERIMENTS := first-steps seed crash-probability timeout concurrency policies overload
RESULTS     := deploy/experiments/results

.PHONY: results
results: build ## run all experiments of deploy/experiments and write their tables and pictures to results/ there; 45 minutes
	@for name in $(EXPERIMENTS); do \
		bin/crashlab experiment run -q deploy/experiments/$$name.yaml >/dev/null || [ $$? = 3 ] || exit 1; \
		$(MAKE) --no-print-directory result NAME=$$name RUN=runs/latest; \
	done

.PHONY: result
result: # the table and the pictures of NAME, from the files of RUN
	@mkdir -p $(RESULTS)
	bin/crashlab report $(RUN) --format md -o $(RESULTS)/$(NAME).md
	bin/crashlab report $(RUN) --chart sweep -o $(RESULTS)/$(NAME).svg
	[ $(NAME) != policies ] || bin/crashlab report $(RUN) --chart policies -o $(RESULTS)/success-and-p99.svg

.PHONY: validate
validate: build ## compare deploy/experiments/validation.yaml with its prediction, and write its table and picture; fails unless 95% of the rows agree; 13 minutes on an idle machine
	bin/crashlab calibrate --model runs/model.json
	bin/crashlab experiment run -q $(VALIDATE) deploy/experiments/validation.yaml >/dev/null || [ $$? = 3 ]
	@$(MAKE) --no-print-directory validation RUN=runs/latest

# With VALIDATE='--repeats 4 --parallel 2' it runs less, and the table and picture go to runs/ instead of the results.
VALIDATE  ?=
VALIDATED := $(if $(VALIDATE),runs,$(RESULTS))/validation

.PHONY: validation
validation: # the table and the picture of RUN against its prediction by runs/model.json
	@{ printf '%s\n\n' 'Measured by `make validate`, and predicted by the model that `crashlab calibrate` measured on that machine just before.' \
		'![Predicted against measured: calls that succeed, attempts, p50 and p99](validation.svg)'; \
	bin/crashlab validate $(RUN) --model runs/model.json --format md; } >runs/validation.new; agrees=$$?; \
	case $$agrees in 0 | 99) ;; *) exit $$agrees ;; esac; \
	mv runs/validation.new $(VALIDATED).md && bin/crashlab report $(RUN) --chart agreement -o $(VALIDATED).svg && tail -n 1 $(VALIDATED).md && exit $$agrees

.PHONY: validate-advice
validate-advice: build ## test advice on 20 random scenarios with real processes; fails unless 19 answers are right; 20 minutes on an idle machine
	bin/crashlab calibrate --model runs/model.json
	bin/crashlab validate-advice --model runs/model.json -o $(RESULTS)/advice.md $(VALIDATE)

ARGS ?= -plaintext 127.0.0.1:7101 counter.v1.Counter/Get
.PHONY: grpcurl
grpcurl: $(GRPCURL) ## run grpcurl with ARGS='...', by default a Get at the first replica
	@$(GRPCURL) $(ARGS)

NO_RACE := $(if $(RACE),,-note "without the race detector: no C compiler")

# With the race detector a program takes an extra second to exit, and the tests run hundreds.
test test-stress soak: export GORACE ?= atexit_sleep_ms=0

# Packages that try thousands of cases, mostly without goroutines; the race detector would only slow them down.
NO_RACES := ./client/stats ./client/report ./client/experiment/advise ./client/experiment/check ./client/experiment/simulate ./client/live ./supervisor/internal/lifecycle

# Without vet, which make lint runs.
.PHONY: test
test: ## run all tests, including those on real clusters; three to four minutes on two cores
	@$(GO) run ./deploy/gotest $(NO_RACE) -- $(RACE) -vet=off $$($(GO) list ./... | grep -v $(NO_RACES:.%=-e %$$)) -- -vet=off $(NO_RACES) -- -C $(PEERS) ./... -- -C $(COMPARE) ./...

.PHONY: packaging
packaging: ## as root: test the image (buildah, runc), the systemd unit, and the files for Kubernetes and Compose
	@$(GO) run ./deploy/gotest -- -C $(PACKAGING) -count=1 ./...

.PHONY: e2e-netns
e2e-netns: ## as root: test three machines (network namespaces) that cannot reach each other, in one or both directions; 20 seconds
	$(GO) test -count=1 -v -run MachinesApart ./deploy/integration -netns

.PHONY: e2e-kubernetes
e2e-kubernetes: ## as root: deploy/kubernetes on a whole Kubernetes of two nodes, which are network namespaces; 15 minutes. BUILD=1 builds Kubernetes first, RUN=TestKubernetes/drain runs a part
	cd $(E2E) && $(GO) test -count=1 -timeout 3h -v $(if $(RUN),-run '$(RUN)') . -args $(if $(BUILD),-build)

.PHONY: test-short
test-short: ## run all but the longest tests, without the race detector; under 40 seconds
	@$(GO) run ./deploy/gotest -- -short ./... -- -C $(PEERS) -short ./... -- -C $(COMPARE) -short ./...

.PHONY: test-stress
test-stress: ## run all tests ten times each with -race: alone, on one processor, beside busy loops, with half a core; hours
	@deploy/stress.sh

# How long each fuzz test runs: a duration, or a number of inputs such as 300x.
FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## run all fuzz tests, each for FUZZTIME=1m
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' client deploy services supervisor | while IFS=: read -r file func; do \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "./$$(dirname "$$file")" || exit 1; \
	done

# Number of runs of the benchmarks that compare libraries, for benchstat.
BENCH_COUNT ?= 5

.PHONY: soak
soak: ## run the long form of random tests: a million calls, 1,000 kills of the supervisor, 10,000 random commands and more; over an hour
	$(GO) test -timeout 2h ./deploy/integration -run Soak -soak -v
	$(GO) test -timeout 1h ./supervisor ./supervisor/internal/process -run 'KillAtAnyMoment|RandomScheduleOfProcesses' -soak -v
	$(GO) test -timeout 1h ./client/experiment/check -run 'Clean|HaveNoViolation|Detected' -soak -v
	$(GO) test -timeout 1h ./client/experiment/lab -run SameSeed -soak -v
	$(GO) test -timeout 1h ./client/stats ./client/live -soak -v
	$(GO) test -timeout 1h ./client/failover -run VirtualIsReal -soak -v
	$(GO) test -timeout 2h ./client/failover -run 'NoWorse|Promises' -worlds 2000 -scenes 20000 -v

.PHONY: bench
bench: ## run the benchmarks: the cost of a failover call, compared with other libraries; the time until a relaunched replica serves; the lines of replicas
	$(GO) test -run '^$$' -bench . ./client/failover/...
	cd $(PEERS) && $(GO) test -run '^$$' -bench 'Call|Throughput' -count $(BENCH_COUNT)
	cd $(PEERS) && $(GO) test -run '^$$' -bench Crash -benchtime 1000x
	$(GO) test -run '^$$' -bench . -benchtime 20x ./deploy/integration
	$(GO) test -run '^$$' -bench . ./supervisor/internal/output

.PHONY: peers
peers: ## compare failover with retryPolicy, go-grpc-middleware and failsafe-go, on crashing and healthy clusters; ten minutes on an idle machine
	cd $(PEERS) && $(GO) run . -o $(CURDIR)/$(RESULTS)/peers.md

.PHONY: compare
compare: ## compare the supervisor with supervisord, runit, s6 (Debian packages) and bare loops; 16 minutes on an idle machine
	cd $(COMPARE) && $(GO) run . all -o $(CURDIR)/$(RESULTS)/supervisors.md

.PHONY: lint
lint: $(STATICCHECK) ## run gofmt, vet and staticcheck for Linux and macOS, and check the imports and go.mod
	@unformatted=$$(gofmt -l client deploy gen services supervisor); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(STATICCHECK) ./...
	GOOS=darwin $(STATICCHECK) ./...
	$(GO) test -count=1 ./deploy/floors
	$(GO) mod tidy -diff
	cd $(PEERS) && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) mod tidy -diff
	cd $(COMPARE) && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) mod tidy -diff
	cd $(PACKAGING) && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) mod tidy -diff
	cd $(E2E) && $(GO) vet . ./pause && $(STATICCHECK) . ./pause # no more, as that would download Kubernetes

.PHONY: check-docs
check-docs: build ## check the documents: run their commands, follow their links, compare their figures with the results; DOCS='-static README.md' does less
	@$(GO) run ./deploy/checkdocs $(DOCS)

.PHONY: lint-proto
lint-proto: $(OWN_BUF) ## lint proto/ and check it for breaking changes
	$(BUF) lint
	$(BUF) breaking --against '.git#ref=$(BREAKING_AGAINST)'

.PHONY: generate
generate: $(OWN_BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) ## generate gen/ from proto/
	$(call buf-generate,.)

.PHONY: check-generate
check-generate: $(OWN_BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) ## check that gen/ is generated from proto/
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(call buf-generate,"$$dir") && diff -r gen "$$dir/gen" && echo "gen/ is up to date"

buf-generate = PATH="$(dir $(PROTOC_GEN_GO)):$(dir $(PROTOC_GEN_GO_GRPC)):$$PATH" $(BUF) generate --template proto/buf.gen.yaml -o $(1)

.PHONY: module
module: ## rename the module everywhere to MODULE=host/you/crashlab
	@[ -n "$(MODULE)" ] || { echo "module: want MODULE=host/you/crashlab, the path that it is to have"; exit 2; }
	@old=$$($(GO) list -m) && git grep -lzF "$$old" -- ':!gen' | xargs -0 perl -pi -e "s#\Q$$old\E(?![\w.-])#$(MODULE)#g" && \
		gofmt -w client deploy services supervisor && $(MAKE) --no-print-directory generate && $(GO) build ./... && echo "the module is $(MODULE) now"

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: release-check
release-check: ## build the three programs for Linux and macOS, on amd64 and arm64
	@for platform in $(PLATFORMS); do \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build $(TAGS) -o /dev/null ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab || exit 1; \
		echo "$$platform: built"; \
	done

.PHONY: clean
clean: ## remove bin/ and the tools
	rm -rf bin $(TOOLS)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { \
		line = sprintf("%-17s", $$1); n = split($$2, words, " "); \
		for (i = 1; i <= n; i++) { \
			if (length(line " " words[i]) > 80) { print line; line = sprintf("%-17s", "") } \
			line = line " " words[i] } \
		print line }' Makefile

# The directory of a tool contains its version, so that another version is another file.
install-tool = GOBIN=$(@D) $(GO) install $(1)

$(TOOLS)/buf@$(BUF_VERSION)/buf:
	@echo "building buf $(BUF_VERSION): minutes, the first time"
	@$(call install-tool,github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION))
$(PROTOC_GEN_GO):
	@$(call install-tool,google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION))
$(PROTOC_GEN_GO_GRPC):
	@$(call install-tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION))
$(STATICCHECK):
	@$(call install-tool,honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION))
$(GRPCURL):
	@$(call install-tool,github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION))
