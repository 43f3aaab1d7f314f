# Bare `make` prints this page. A target is one cargo line or one script.

STATE_DIR ?= ./var
SIP_ADDR  ?= 127.0.0.1:5060
API_ADDR  ?= 127.0.0.1:8080
# Debian keeps kamailio where an ordinary user does not look.
export PATH := $(PATH):/usr/sbin:/sbin
export STATE_DIR SIP_ADDR API_ADDR MINUTES SEED BENCH_MODE BENCH_PARTS BENCH_WORLDS BENCH_OUT SOAK_OUT

.DEFAULT_GOAL := help
.PHONY: help deps build run demo test e2e bench chaos soak proof fmt lint deny clean

help: ## this page
	@printf 'Trunkline: SIP trunking on Kamailio\n\nUsage: make TARGET [STATE_DIR=./var] [SIP_ADDR=127.0.0.1:5060] [API_ADDR=127.0.0.1:8080]\n\n'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nFirst time: `make run`, and in a second terminal `make demo`.\n'

deps: ## install what is missing (apt), fetch the headers of the installed Kamailio
	@scripts/deps.sh

build: deps ## build trunkd and trunk.so, as released
	@scripts/build.sh

run: build ## start trunkd and Kamailio on loopback, state in STATE_DIR; Ctrl-C stops both
	@scripts/run.sh

demo: build ## beside `make run`: place real calls, compare what happened with what should have
	@cargo run --release --quiet -p e2e --bin demo

test: deps ## everything: format, lints, licences, unit, integration and end-to-end tests
	@scripts/test.sh

e2e: build ## the end-to-end tests alone
	@scripts/test.sh e2e

bench: build ## what things cost, beside stock modules; BENCH_MODE=full for the long one
	@scripts/bench.sh

chaos: build ## random calls and random deaths, and what must hold: MINUTES=5 SEED=1
	@cargo run --release --quiet -p e2e --bin chaos

soak: build ## calls and changes in a stream; whether memory, descriptors or delays creep: MINUTES=10
	@cargo run --release --quiet -p e2e --bin soak

proof: deps ## the long proofs, some half an hour; with NIGHT=1 some hours
	@scripts/proof.sh

fmt: ## format the sources
	@cargo fmt --all

lint: deps ## clippy over everything; a warning is an error
	@cargo clippy --workspace --all-targets -- -D warnings

deny: ## licences, banned and doubled crates, sources
	@scripts/deny.sh

clean: ## remove what was built; STATE_DIR and the fetched headers stay
	@cargo clean
