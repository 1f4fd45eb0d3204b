# cml-fleet. `make` alone lists what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Everything that is made here and not committed: the virtual environment, and one folder per running local cloud.
LOCAL := .local
VENV := $(LOCAL)/venv
PYTHON ?= python3
# The local cloud listens on this loopback port and the two after it.
PORT ?= 4566
CLOUD = $(VENV)/bin/python infra/local/cloud.py

# The functions run on `arm64` unless said otherwise; the local cloud runs them on this machine's own processor.
FUNCTIONS := act api collect drift notify poll
HOST_ARCH := $(patsubst aarch64,arm64,$(shell uname -m))
ARCH ?= arm64
TARGET = $(if $(filter arm64,$(ARCH)),aarch64,$(ARCH))-unknown-linux-gnu
HOST_TARGET := $(patsubst arm64,aarch64,$(HOST_ARCH))-unknown-linux-gnu

# The AWS SDKs are the price of this build: minutes and gigabytes. They are compiled once per target because everything that needs
# them is compiled with the same command line: this target (never the bare host), these link flags, the profile of Cargo.toml
# (cargo-lambda's own "optimizations" would bring panic=abort), and packages whose features unify the same way: the functions' binaries
# together, or the adapters with their tests. Tests of a function in the release profile would not be among those.
# For this machine's own processor the plain linker does; any other is cross-linked with the zig that comes with cargo-lambda, which
# it finds through the virtual environment's Python. On x86_64 Rust would link with LLD, which keeps the unwind tables of all the SDK
# code that it drops, 4 MB a function; the system's linker does not. What is deployed to AWS is linked with thin LTO, which drops them on
# every processor and costs minutes at every link.
SDK_PACKAGES := $(addprefix -p ,$(FUNCTIONS))
COMPILER = $(if $(filter $(HOST_TARGET),$(TARGET)),cargo,cargo-zigbuild)
LINK := CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Clinker-features=-lld
CARGO_LAMBDA = $(LINK) PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cargo-lambda lambda build --release --disable-optimizations --compiler $(COMPILER) --target $(TARGET)
# `cargo clippy` would check the SDKs once more; as a wrapper around the build's own command line it reads what is there.
CLIPPY_ON_BUILD := RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
# What is quick: every crate but the adapters, without the SDKs, in the debug profile.
WITHOUT_SDK := --workspace --exclude aws --no-default-features

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

##@ The local cloud

.PHONY: up
up: rust tools ## run everything on this machine: emulated AWS, the deployed stack, a small fleet
	@$(CLOUD) --ports $(PORT) up

.PHONY: down
down: ## stop the local cloud; leaves nothing running
	@if [ -x $(VENV)/bin/python ]; then $(CLOUD) down; else echo "Nothing is running."; fi

.PHONY: token
token: tools ## log in to the local cloud as vera (viewer), oscar (operator) or ada (admin), and print the token: make -s token AS=ada
	@$(CLOUD) token "$(AS)"

.PHONY: logs
logs: tools ## follow the log of one function: make logs F=act (ONCE=1 to print and stop)
	@$(CLOUD) logs "$(F)" $(if $(ONCE),--once)

##@ Tests

.PHONY: quick
quick: rust ## format, lints and every test that needs no SDK and no cloud
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy $(WITHOUT_SDK) --all-targets --quiet -- -D warnings
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run $(WITHOUT_SDK) --status-level fail; \
	else set -x; cargo test $(WITHOUT_SDK) --quiet; fi

.PHONY: test-aws
test-aws: ARCH = $(HOST_ARCH)
test-aws: rust ## lints and tests of the AWS adapters, on the very artifacts of the build
	$(LINK) $(CLIPPY_ON_BUILD) cargo test --release --target $(TARGET) -p aws

.PHONY: fuzz
fuzz: rust ## one parser for FOR=60 seconds with nightly Rust and cargo-fuzz: make fuzz T=stream_batch
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is needed: cargo install --locked cargo-fuzz, and rustup toolchain install nightly" >&2; exit 1; }
	@[ -n "$(T)" ] || { echo "Which parser? One of: $(basename $(notdir $(wildcard tests/fuzz/targets/*.rs)))" >&2; exit 1; }
	@mkdir -p $(LOCAL)/fuzz/$(T)
	cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz $(T) $(LOCAL)/fuzz/$(T) tests/fixtures -- \
	  -artifact_prefix=$(LOCAL)/fuzz/ -max_len=65536 -malloc_limit_mb=1 -max_total_time=$(or $(FOR),60)

# Checking links nothing, so the fuzzer's own library, which is C++, need not be there.
.PHONY: check-fuzz
check-fuzz: rust ## whether the fuzz targets compile, with their own lock file as it is
	CUSTOM_LIBFUZZER_PATH=none/libnone.a cargo check --locked --quiet --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz-check

.PHONY: lint-template
lint-template: tools ## sam validate --lint and cfn-lint
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam validate --lint --region us-east-1
	$(VENV)/bin/cfn-lint template.yaml infra/*.yaml

.PHONY: deny
deny: ## licenses, banned crates (one TLS stack) and sources of all dependencies
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is needed: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --log-level error check bans licenses sources

.PHONY: advisories
advisories: ## known vulnerabilities of all dependencies (fetches the RustSec database)
	cargo deny check advisories

.PHONY: sim
sim: rust ## the fleet through hours of faults, for SEEDS=200 seeds of HOURS=6 hours; SEED=n for one of them, with its last steps
	@SEEDS=$(or $(SEEDS),200) SEED=$(SEED) HOURS=$(or $(HOURS),6) FROM=$(FROM) WORKERS=$(WORKERS) FAULTS=$(FAULTS) \
	  cargo test --profile sim -p tests --no-default-features --test sim -- --nocapture

.PHONY: mutants
mutants: rust ## whether the simulator notices each mutant of tests/sim/mutants.toml (ONLY=words selects)
	cargo test -p tests --no-default-features --test mutants -- --ignored --nocapture

.PHONY: openapi
openapi: ARCH = $(HOST_ARCH)
openapi: rust tools ## the deployed API against its openapi.json: requests that schemathesis makes up, on a local cloud of its own
	@$(CLOUD) --name openapi --ports free run --sample -- $(MAKE) openapi-on-this-cloud

# What `openapi` runs while its cloud is up, for two minutes; see infra/local/schemathesis.toml. It leaves its notes where it runs.
.PHONY: openapi-on-this-cloud
openapi-on-this-cloud:
	@cd $(LOCAL)/openapi && PYTHONPATH=$(CURDIR)/infra/local SCHEMATHESIS_HOOKS=signed $(CURDIR)/$(VENV)/bin/st \
	  --config-file $(CURDIR)/infra/local/schemathesis.toml run $(CURDIR)/functions/api/openapi.json --url "$$API_URL"

# The laws of tests/contract on the real adapters: the command line of `test-aws`, so that the SDKs are not compiled again.
LAWS = cargo test --release --target $(TARGET) -p contract --features adapters --test emulators

.PHONY: e2e
e2e: ARCH = $(HOST_ARCH)
e2e: rust tools ## the whole loop, then the contract laws, on a local cloud of its own, which is gone afterwards; then `openapi`
	@cargo test -p tests --no-default-features --test e2e --no-run
	@$(LINK) $(CLIPPY_ON_BUILD) $(LAWS) --no-run
	@$(CLOUD) --name e2e --ports free run -- $(MAKE) on-this-cloud
	@$(if $(ONLY),,$(MAKE) openapi)

# What `e2e` runs while its cloud is up. `ONLY=word` is for the scenarios, and leaves the laws out.
.PHONY: on-this-cloud
on-this-cloud: ARCH = $(HOST_ARCH)
on-this-cloud:
	@cargo test -p tests --no-default-features --test e2e -- --ignored --nocapture --test-threads 1
	@$(if $(ONLY),,$(LINK) $(CLIPPY_ON_BUILD) $(LAWS) -- --ignored --show-output)

.PHONY: test
test: quick check-fuzz sim lint-template deny build test-aws e2e ## everything that must pass

##@ Build and deploy

.PHONY: build
build: ARCH = $(HOST_ARCH)
build: rust tools ## the functions, for this machine (the first time: about 12 minutes and 8 GB of memory)
	$(CARGO_LAMBDA) $(SDK_PACKAGES)

.PHONY: deploy
deploy: target tools ## build for ARCH=arm64 (or x86_64) and deploy to AWS, asking for every setting
	ARCH=$(ARCH) CARGO_PROFILE_RELEASE_LTO=thin SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam build
	@echo "Built for $(ARCH): that is the Architecture to answer with."
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam deploy --guided

# What `sam build` calls for each function of template.yaml. The first call compiles all of them, the others only copy.
build-%Function: target tools
	$(CARGO_LAMBDA) $(SDK_PACKAGES)
	cp target/lambda/$(shell echo $* | tr A-Z a-z)/bootstrap "$(ARTIFACTS_DIR)/bootstrap"

##@ Tools

.PHONY: rust
rust:
	@command -v cargo >/dev/null 2>&1 || { echo "Rust is needed: install it with rustup (https://rustup.rs)." >&2; exit 1; }

# Without rustup the compiler is taken to know the target.
.PHONY: target
target: rust
	@installed=$$(rustup target list --installed 2>/dev/null) || exit 0; echo "$$installed" | grep -qx $(TARGET) || \
	  { echo "The Rust target for ARCH=$(ARCH) is missing: rustup target add $(TARGET)" >&2; exit 1; }

.PHONY: tools
tools: ## the pinned emulators, SAM CLI and cargo-lambda, in a virtual environment
	@PYTHON=$(PYTHON) infra/local/tools.sh $(VENV)
