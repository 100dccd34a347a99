# What people run here. On a fresh machine with Rust, `make demo` and `make test` install what else they need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The profile of the demo: optimised, yet quick to build. `make demo PROFILE=release` takes the shipped one.
PROFILE ?= demo
NEXTEST_PROFILE ?= $(if $(CI),ci,default)
# What the demo runs: where there can be a lab, that and the agent too.
DEMO = ringfence $(if $(filter Linux,$(shell uname -s)),ringfence-agent ringfence-lab)
RINGFENCE = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE)/ringfence

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: toolchain
toolchain:
	@scripts/need-cargo
	@scripts/need-clang

.PHONY: pages
pages: ## Build the web UI into ui/dist, from where the server takes it
	@scripts/need-node
	npm --prefix ui ci --no-audit --no-fund --loglevel=error
	npm --prefix ui run --silent build
	@touch crates/server/src/ui.rs

.PHONY: demo
demo: toolchain pages ## Build all, generate policies for examples/shop, and serve it: live for root, else as recorded
	@scripts/need-network-tools || true
	cargo build --locked --profile $(PROFILE) $(addprefix --package ,$(DEMO)) --bins
	@scripts/demo "$(RINGFENCE)"

.PHONY: test
test: toolchain ## Run all tests, after installing what they need
	@scripts/need-nextest
	@scripts/need-network-tools
	@scripts/need-node
	cargo test --locked --workspace --doc --quiet
	cargo nextest run --locked --workspace --profile $(NEXTEST_PROFILE)
	npm --prefix ui ci --no-audit --no-fund --loglevel=error
	npm --prefix ui test --silent

.PHONY: e2e
e2e: toolchain pages ## Try the web UI in a browser, against the server and against answers made up
	@scripts/need-chromium
	cargo build --locked --package ringfence
	RINGFENCE="$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/ringfence" \
		timeout --kill-after=10 900 npm --prefix ui run --silent e2e

.PHONY: lint
lint: toolchain ## Check format, lints, documentation, licences and the edges between crates
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	cargo run --locked --quiet --package xtask -- dependencies
	@scripts/deny
	npm --prefix ui run --silent lint
	npm --prefix ui run --silent api:check

.PHONY: example
example: toolchain ## Write the generated files of examples/shop again
	cargo run --locked --quiet --package xtask -- example

.PHONY: bench
bench: toolchain ## Measure the command on large clusters, and run the benchmarks of the libraries
	cargo build --locked --release --package ringfence
	cargo run --locked --quiet --package xtask -- bench --binary "$(or $(CARGO_TARGET_DIR),target)/release/ringfence"
	cargo bench --locked --workspace --exclude ringfence-policy --bench '*'

.PHONY: clean
clean: ## Remove what was built and generated
	cargo clean
	rm -rf out

# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: toolchain ## Fuzz the readers and the evaluator, a minute each (needs a nightly compiler)
	@scripts/fuzz "$(FUZZ_SECONDS)"

.PHONY: properties
properties: toolchain ## Hold the engine to its oracle over 20 million random connections, and the generator to its own
	@scripts/need-nextest
	PROPTEST_CASES=2000 cargo nextest run --locked --package ringfence-policy --package ringfence --no-fail-fast \
		--profile long -E 'test(agree) | test(generated)'
