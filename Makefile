# `make` alone lists the targets. `make run` and `make test` need Go with a C compiler, and pip or npm;
# nothing else has to be installed.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO       ?= go
# gin without MessagePack: half the binary.
TAGS     := nomsgpack
BIN      := bin/usher
LIBRARY  := .cache/onnxruntime/libonnxruntime.so
LINT_VERSION := v2.15.0
LINT     := .cache/bin/golangci-lint-$(LINT_VERSION)

N         ?= 200
SEED      ?= 0
ROUNDS    ?= 1000
FLOOD     ?= 10000
PEOPLE    ?= 2000
FUZZTIME  ?= 30s
PKG       ?= ./...

# Two arenas are enough for a process that allocates little in C; glibc would make eight per core.
export MALLOC_ARENA_MAX ?= 2

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: build ## build, and start the demo: a team, a policy and traffic in two languages
	@$(BIN) demo

.PHONY: demo
demo: run ## the same as run

.PHONY: build
build: library ## build bin/usher
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -o $(BIN) ./cmd/usher

.PHONY: library
library: # the ONNX Runtime library if it can be had; usher says "degraded" in every answer without it
	@tool/onnxruntime || true

.PHONY: onnxruntime
onnxruntime: $(LIBRARY) ## obtain the ONNX Runtime library (pinned, checked) into .cache/

$(LIBRARY):
	@tool/onnxruntime

.PHONY: test
test: library ## run everything that needs nothing else installed
	$(GO) test -tags $(TAGS) $(PKG)

.PHONY: race
race: library ## the tests of the concurrent packages under the race detector
	USHER_REPLAY=2000 $(GO) test -short -race -timeout 30m -tags $(TAGS) ./matcher/... ./intake/... ./inference/... ./internal/... ./api/... ./catalog/...

.PHONY: widget
widget: ## build widget/dist from widget/src
	cd widget && npm ci --no-audit --no-fund && npm run build

.PHONY: widget-test
widget-test: build ## the chat in the system's Chromium against bin/usher
	cd widget && npm ci --no-audit --no-fund && USHER_TEST_BINARY=$(abspath $(BIN)) npm test

.PHONY: identity
identity: ## who is one person: PEOPLE generated people, two worlds from SEED on; wrong links must be none
	USHER_TEST_PEOPLE=$(PEOPLE) USHER_TEST_SEED=$(patsubst 0,1,$(SEED)) $(GO) test -count=1 -v -timeout 60m -tags $(TAGS) -run '^(TestGeneratedPeople|TestSilentFamilies)$$' ./intake

.PHONY: onewinner
onewinner: ## 64 clients race for the same offers, ROUNDS times, under the race detector
	USHER_TEST_ROUNDS=$(ROUNDS) $(GO) test -race -count=1 -v -timeout 60m -tags $(TAGS) -run '^TestOneWinner$$' ./cmd/usher

.PHONY: crash
crash: build ## kill the server N times under load, at random instants; SEED=0 draws one
	USHER_TEST_BINARY=$(abspath $(BIN)) USHER_TEST_KILLS=$(N) USHER_TEST_SEED=$(SEED) \
		$(GO) test -count=1 -v -timeout 60m -tags $(TAGS) -run '^TestCrash$$' ./cmd/usher

.PHONY: flood
flood: build ## FLOOD messages over web, App, WeChat and e-mail, some twice, some in another order, three kills: none lost, none doubled
	USHER_TEST_BINARY=$(abspath $(BIN)) USHER_FLOOD=$(FLOOD) USHER_TEST_SEED=$(SEED) \
		$(GO) test -count=1 -v -timeout 60m -tags $(TAGS) -run '^TestFlood$$' ./cmd/usher

.PHONY: mail
mail: build ## conversations by mail against GreenMail, another house's mail server (Java; fetched by Maven)
	tool/greenmail
	USHER_TEST_BINARY=$(abspath $(BIN)) USHER_TEST_GREENMAIL=$(abspath .cache/greenmail.jar) \
		$(GO) test -count=1 -v -timeout 10m -tags $(TAGS) -run '^Test(Mail|GreenMail)$$' ./cmd/usher

.PHONY: replay
replay: ## N random inputs stepped twice, once from the journal and its snapshots: the same bytes
	USHER_REPLAY=$(N) $(GO) test -count=1 -v -timeout 60m -run '^TestReplay$$' ./matcher/floor

.PHONY: balance
balance: ## an hour at load 0.8: nobody idles while work waits, and work is spread
	$(GO) test -count=1 -v -run '^TestBalance$$' ./matcher/floor

.PHONY: reports
reports: ## every number of the reports computed a second time over N conversations, from the raw events
	USHER_REPORTS=$(N) $(GO) test -count=1 -v -timeout 60m -run '^Test(EqualsIndependentComputation|StoredReports)$$' ./report ./internal/sqlite

.PHONY: demo-check
demo-check: build ## start the demo; fail unless an offer is accepted within 60 s
	USHER_TEST_BINARY=$(abspath $(BIN)) $(GO) test -count=1 -v -tags $(TAGS) -run '^TestDemo$$' ./cmd/usher

.PHONY: contract
contract: ## the contract suites of stores and indexes; of a Qdrant server when USHER_TEST_QDRANT=HOST:PORT names one
	$(GO) test -count=1 -tags $(TAGS) ./internal/sqlite ./internal/memindex ./internal/storetest
	$(GO) test -count=1 -tags $(TAGS) -v -run Contract ./internal/qdrant

.PHONY: eval
eval: build ## how well usher understands and ranks: the sets of eval/
	$(BIN) eval run eval/understanding/service.jsonl
	$(BIN) eval groups eval/understanding/groups.jsonl
	$(BIN) eval ranking eval/ranking
	$(BIN) eval faq eval/faq

.PHONY: doctor
doctor: build ## check a data directory: make doctor DATA=data/demo
	$(BIN) doctor --data $(or $(DATA),data/demo)

.PHONY: bench
bench: build ## measure the budgets, five minutes: eval/reports/performance.json
	$(GO) run ./eval/bench -binary $(BIN) -tags $(TAGS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@set -e; grep -rlE '^func Fuzz' --include '*_test.go' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$dir | grep '^Fuzz'); do \
			echo "$$dir $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$dir </dev/null; \
		done; done

.PHONY: cover
cover: library ## coverage by function, read and not gated
	@mkdir -p .cache
	$(GO) test -tags $(TAGS) -coverprofile=.cache/cover.out $(PKG)
	$(GO) tool cover -func=.cache/cover.out | tail -1

.PHONY: console
console: console-modules ## check, test and build the console; its size; needs Node
	cd clients/typescript && npm run --silent generate && npm run --silent check
	cd console && npm run --silent check && npm test --silent && npm run --silent build && npm run --silent sizes

.PHONY: console-check
console-check: console ## the committed console and client are those of the sources
	git diff --exit-code --stat -- console/dist clients/typescript/schema.d.ts
	@test -z "$$(git ls-files --others --exclude-standard console/dist)" || { git ls-files --others --exclude-standard console/dist; exit 1; }

.PHONY: console-modules
console-modules:
	cd clients/typescript && npm ci --silent --no-audit --no-fund
	cd console && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund

.PHONY: console-test
console-test: build console-modules ## everything that tests the console: types, texts, units, then the browser on the real binary
	cd console && npm run --silent check && npm test --silent && npm run --silent e2e

.PHONY: e2e
e2e: build console-modules ## the console in a browser, on the real binary; needs Node and Chromium (CHROMIUM=path)
	cd console && npm run --silent e2e

.PHONY: front-check
front-check: console-modules ## the committed builds of console, chat and client are what their sources make
	cd widget && npm ci --silent --no-audit --no-fund
	tool/front-check

.PHONY: shots
shots: build console-modules ## pictures of every screen: shots/SCREEN-WIDTH-THEME-LANGUAGE.png; ONLY=regexp; needs Chromium
	tool/shots shots '$(ONLY)'

.PHONY: lint
lint: $(LINT) ## golangci-lint with the rules of .golangci.yml
	$(LINT) run

.PHONY: lint-prove
lint-prove: $(LINT) ## show that every import rule bites
	tool/lint-prove $(LINT)

.PHONY: fmt
fmt: $(LINT) ## format
	$(LINT) fmt

$(LINT):
	@mkdir -p $(@D)
	GOBIN=$(abspath $(@D)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(@D)/golangci-lint $@

.PHONY: verify
verify: ## the tree is tidy: modules, vet, gofix
	$(GO) mod verify
	$(GO) mod tidy -diff
	$(GO) vet -tags $(TAGS) $(PKG)
	$(GO) fix -tags $(TAGS) -diff $(PKG)

.PHONY: ci
ci: ## what a change must pass
	.ci/run
