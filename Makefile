# `make` builds the three binaries; `make help` lists the rest.

GO  ?= go
BUF ?= $(TOOLS)/buf@$(BUF_VERSION)/buf
# BUF=buf takes one that is installed.
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

# The contracts must not break what users of the last tagged version have, or, before a first tag, of the first commit
# that had them.
BREAKING_AGAINST ?= $(or $(shell git describe --tags --abbrev=0 2>/dev/null),$(shell git log --format=%H -- buf.yaml | tail -n 1))

.PHONY: build
build: ## build counterd, supervisor and crashlab into bin/
	$(GO) build -o bin/ ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),unknown)
STAMP   := example.com/crashlab/supervisor/version.stamped=$(VERSION)

.PHONY: static
static: ## the binaries for Linux without libc, stamped with VERSION, into bin/static/
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags '-s -w -X $(STAMP)' -o bin/static/ ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab

IMAGE ?= crashlab:$(VERSION)
# The first that works: a docker without its daemon does not.
BUILDER ?= $(shell for tool in docker podman buildah; do $$tool info >/dev/null 2>&1 && echo $$tool && break; done)

.PHONY: image
image: static ## the container image IMAGE, with docker, podman or buildah
	@[ -n "$(BUILDER)" ] || { echo "make image: neither docker, podman nor buildah works here"; exit 1; }
	$(BUILDER) build -t $(IMAGE) .

.PHONY: demo
demo: build ## a crashing cluster, the same 50 calls through it under two policies; under a minute
	@deploy/demo.sh

.PHONY: run-cluster
run-cluster: build ## the cluster of deploy/cluster.yaml in the foreground; Ctrl-C stops it
	@bin/supervisor --config deploy/cluster.yaml

.PHONY: live
live: build ## the cluster of deploy/cluster.yaml under load, and a page that shows it and on which it is disturbed; Ctrl-C stops it
	@bin/crashlab live --cluster deploy/cluster.yaml

.PHONY: certs
certs: ## certificates for trying TLS, in certs/; again to renew them, with CERTS=-new-ca by another authority, and -h for more
	$(GO) run ./deploy/certs $(CERTS)

.PHONY: experiment
experiment: build ## a small experiment from design to report, in a minute
	@bin/crashlab experiment run deploy/experiments/quick.yaml

EXPERIMENTS := first-steps seed crash-probability timeout concurrency policies overload
RESULTS     := deploy/experiments/results

.PHONY: results
results: build ## run every experiment of deploy/experiments, in 45 minutes, and make the tables and pictures of its results/
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
validate: build ## run deploy/experiments/validation.yaml on processes, in 10 minutes on an idle machine, and make its table and picture; fails unless its prediction agrees in 95% of the rows
	bin/crashlab calibrate --model runs/model.json
	bin/crashlab experiment run -q $(VALIDATE) deploy/experiments/validation.yaml >/dev/null || [ $$? = 3 ]
	@$(MAKE) --no-print-directory validation RUN=runs/latest

# VALIDATE='--repeats 4 --parallel 2' runs less of it, whose table and picture are no results: they go to runs/.
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
validate-advice: build ## take advice on 20 random scenarios and run it on processes, in 20 minutes on an idle machine; fails unless 19 answers are right
	bin/crashlab calibrate --model runs/model.json
	bin/crashlab validate-advice --model runs/model.json -o $(RESULTS)/advice.md $(VALIDATE)

ARGS ?= -plaintext 127.0.0.1:7101 counter.v1.Counter/Get
.PHONY: grpcurl
grpcurl: $(GRPCURL) ## run grpcurl with ARGS='...'; without, a Get at the first replica
	@$(GRPCURL) $(ARGS)

NO_RACE := $(if $(RACE),,-note "without the race detector: no C compiler")

# Under the race detector a program stays for a second when it exits, and the tests run hundreds.
test test-stress soak: export GORACE ?= atexit_sleep_ms=0

# Packages that compute, mostly without a goroutine, and try thousands of cases, which the race detector would slow down for nothing.
NO_RACES := ./client/stats ./client/experiment/advise ./client/experiment/simulate ./client/live ./supervisor/internal/lifecycle

.PHONY: test
test: ## all tests, those on real clusters among them; under three minutes on two cores
	@$(GO) run ./deploy/gotest $(NO_RACE) -- $(RACE) $$($(GO) list ./... | grep -v $(NO_RACES:.%=-e %$$)) -- $(NO_RACES) -- -C $(PEERS) ./... -- -C $(COMPARE) ./...

.PHONY: packaging
packaging: ## as root: the image in a container (buildah, runc), the unit under systemd, the files for Kubernetes and Compose
	@$(GO) run ./deploy/gotest -- -C $(PACKAGING) -count=1 ./...

.PHONY: e2e-netns
e2e-netns: ## as root: three machines that are network namespaces, cut off from each other one way and both; 20 seconds
	$(GO) test -count=1 -v -run MachinesApart ./deploy/integration -netns

.PHONY: e2e-kubernetes
e2e-kubernetes: ## as root: deploy/kubernetes on a whole Kubernetes of two nodes, which are network namespaces; 20 minutes. BUILD=1 builds Kubernetes first, RUN=TestKubernetes/drain runs a part
	cd $(E2E) && $(GO) test -count=1 -timeout 3h -v $(if $(RUN),-run '$(RUN)') . -args $(if $(BUILD),-build)

.PHONY: test-short
test-short: ## the tests without the longest ones and without the race detector, for the edit loop; under 40 seconds
	@$(GO) run ./deploy/gotest -- -short ./... -- -C $(PEERS) -short ./... -- -C $(COMPARE) -short ./...

.PHONY: test-stress
test-stress: ## all tests ten times each with -race: alone, on one processor, beside busy loops, with half a core; hours
	@deploy/stress.sh

# How long each fuzz test runs: a time, or with an x how many inputs.
FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## the fuzz tests of the parsers and the pure functions, FUZZTIME=1m each
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' client deploy services supervisor | while IFS=: read -r file func; do \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "./$$(dirname "$$file")" || exit 1; \
	done

# Runs of the benchmarks that compare, for benchstat.
BENCH_COUNT ?= 5

.PHONY: soak
soak: ## the long form of the tests called Soak: a million calls each, minutes of kill -9, the learned limit against fixed ones; 1,000 kills of the supervisor, 10,000 random commands; over an hour
	$(GO) test -timeout 2h ./deploy/integration -run Soak -soak -v
	$(GO) test -timeout 1h ./supervisor ./supervisor/internal/process -run 'KillAtAnyMoment|RandomScheduleOfProcesses' -soak -v
	$(GO) test -timeout 1h ./client/experiment/check -run 'Clean|HaveNoViolation|Detected' -soak -v
	$(GO) test -timeout 1h ./client/experiment/lab -run SameSeed -soak -v
	$(GO) test -timeout 1h ./client/stats ./client/live -soak -v
	$(GO) test -timeout 1h ./client/failover -run VirtualIsReal -soak -v
	$(GO) test -timeout 2h ./client/failover -run 'NoWorse|Promises' -worlds 2000 -scenes 20000 -v

.PHONY: bench
bench: ## what a failover call costs beside a bare one and beside other libraries; how soon a relaunched replica serves; lines of replicas
	$(GO) test -run '^$$' -bench . ./client/failover/...
	cd $(PEERS) && $(GO) test -run '^$$' -bench 'Call|Throughput' -count $(BENCH_COUNT)
	cd $(PEERS) && $(GO) test -run '^$$' -bench Crash -benchtime 1000x
	$(GO) test -run '^$$' -bench . -benchtime 20x ./deploy/integration
	$(GO) test -run '^$$' -bench . ./supervisor/internal/output

.PHONY: peers
peers: ## failover beside retryPolicy, go-grpc-middleware and failsafe-go, on crashing clusters and healthy ones; 8 minutes on an idle machine
	cd $(PEERS) && $(GO) run . -o $(CURDIR)/$(RESULTS)/peers.md

.PHONY: compare
compare: ## our supervisor beside supervisord, runit and s6 (Debian packages) and bare loops; 15 minutes on an idle machine
	cd $(COMPARE) && $(GO) run . peers
	cd $(COMPARE) && $(GO) run . delay
	cd $(COMPARE) && $(GO) run . scale
	cd $(COMPARE) && $(GO) run . output

.PHONY: lint
lint: $(STATICCHECK) ## gofmt, vet and staticcheck for Linux and macOS, the import floors, a tidy go.mod
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
check-docs: build ## run the documents' commands, check their links and compare their figures with the results; DOCS='-static README.md' does less
	@$(GO) run ./deploy/docs $(DOCS)

.PHONY: lint-proto
lint-proto: $(OWN_BUF) ## buf lint, and the check for breaking changes
	$(BUF) lint
	$(BUF) breaking --against '.git#ref=$(BREAKING_AGAINST)'

.PHONY: generate
generate: $(OWN_BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) ## generate gen/ from proto/
	$(call buf-generate,.)

.PHONY: check-generate
check-generate: $(OWN_BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) ## fail when gen/ is not what proto/ generates
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(call buf-generate,"$$dir") && diff -r gen "$$dir/gen" && echo "gen/ is up to date"

buf-generate = PATH="$(dir $(PROTOC_GEN_GO)):$(dir $(PROTOC_GEN_GO_GRPC)):$$PATH" $(BUF) generate --template proto/buf.gen.yaml -o $(1)

.PHONY: module
module: ## rename the module, with MODULE=host/you/crashlab, everywhere
	@[ -n "$(MODULE)" ] || { echo "module: want MODULE=host/you/crashlab, the path that it is to have"; exit 2; }
	@old=$$($(GO) list -m) && git grep -lzF "$$old" -- ':!gen' | xargs -0 perl -pi -e "s#\Q$$old\E(?![\w.-])#$(MODULE)#g" && \
		gofmt -w client deploy services supervisor && $(MAKE) --no-print-directory generate && $(GO) build ./... && echo "the module is $(MODULE) now"

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: release-check
release-check: ## build the three programs for Linux and macOS, on amd64 and arm64
	@for platform in $(PLATFORMS); do \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build -o /dev/null ./services/cmd/counterd ./supervisor/cmd/supervisor ./client/cmd/crashlab || exit 1; \
		echo "$$platform: built"; \
	done

.PHONY: clean
clean: ## remove bin/ and the tools
	rm -rf bin $(TOOLS)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s%s\n", $$1, $$2 }' Makefile

# Each tool has a directory of its name and version, so that a new version is a new file.
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
