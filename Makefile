# `make demo` shows what Bitacora is for; `make test` runs every check. Both work on a fresh machine with a Rust
# toolchain, say what they install before they do, and build RocksDB once per machine (see .ci/rocksdb).
# The build folder is cargo's; set CARGO_TARGET_DIR for another.

CARGO ?= cargo
# What is given to the demo, such as `make demo DEMO_ARGS="--payments 500 --kills 2"`.
DEMO_ARGS ?=
# What is given to the benches: parts of cases' names, such as `make bench BENCH_ARGS="durable scan"`.
BENCH_ARGS ?=

# What the soak is given: minutes in all, classes (none: all), and the log that it goes on with.
SOAK_MINUTES ?= 60
SOAK_CLASSES ?=
SOAK_LOG ?= soak.tsv

# What fuzzing is given: targets, seconds for each, and, for the soak, executions of each in all.
FUZZ_TARGETS ?= $(sort $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs))))
FUZZ_SECONDS ?= 30
FUZZ_RUNS ?= 1000000000

# Everything but seeded defects, so that one build serves lints, docs and tests.
FEATURES := bitacora/cli,bitacora/futures,bitacora/internals,bitacora/metrics,bitacora/simulation

# Makes a fresh machine ready; the line that follows finds RocksDB's library made.
ROCKSDB = folder=$$(.ci/rocksdb) && export ROCKSDB_LIB_DIR="$$folder" ROCKSDB_STATIC=1

# A model checker's builds, each with a folder of its own: their flags would throw away what others built.
TARGET := $(or $(CARGO_TARGET_DIR),target)
LOOM = CARGO_TARGET_DIR="$(TARGET)/loom" RUSTFLAGS="--cfg bitacora_loom"
SHUTTLE = CARGO_TARGET_DIR="$(TARGET)/shuttle" RUSTFLAGS="--cfg bitacora_shuttle"
CHECKED := --locked -p bitacora-trials --no-default-features

.DEFAULT_GOAL := help
.PHONY: help demo test interleavings sabotage soak fuzz soak-fuzz bench bench-peers bench-full criterion lint doc header capi man completions fmt prerequisites

help:
	@printf '%s\n' \
	    'make demo   a till'"'"'s day, killed again and again, and the proof that nothing is lost' \
	    'make test   formatting, lints, documentation and all tests' \
	    'make interleavings   the orders in which threads meet, under loom and shuttle (part of make test)' \
	    'make soak   the classes of faults for hours; goes on where it stopped' \
	    'make fuzz   every fuzz target for half a minute, where there are a nightly toolchain and cargo-fuzz' \
	    'make soak-fuzz   the same in pieces of $(SOAK_MINUTES) minutes, written to the soak'"'"'s log' \
	    'make lint   formatting and lints' \
	    'make doc    documentation, with its warnings as errors' \
	    'make bench  the table of the performance page, its short form: ten minutes' \
	    'make bench-peers   the same with other stores beside it; compiles them first' \
	    'make bench-full    all of it, ten million events too, with the other stores' \
	    'make criterion     single operations, under criterion' \
	    'make header the C header, made anew from the sources of the C interface' \
	    'make capi   the C interface: libbitacora_capi.a and .so, for programs in C, C++ and C#' \
	    'make man completions   man pages and completions for shells, for packages of the command' \
	    'make fmt    format the sources'

prerequisites:
	@.ci/prerequisites

demo: prerequisites
	@$(ROCKSDB) && $(CARGO) run --locked --release --features cli -- demo $(DEMO_ARGS)

# The runner's own summary comes last. Without nextest the classes of faults take turns by themselves.
test: lint doc sabotage interleavings fuzz
	@$(ROCKSDB) && $(CARGO) test --locked --features $(FEATURES) --doc
	@$(ROCKSDB) && if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --locked --workspace --features $(FEATURES); \
	else \
	    $(CARGO) test --locked --workspace --features $(FEATURES) --lib --bins --tests --examples; \
	fi

# T15: loom explores small meetings of threads, shuttle samples large ones.
interleavings: prerequisites
	$(LOOM) $(CARGO) test $(CHECKED) --test interleavings -- --nocapture
	$(SHUTTLE) $(CARGO) test $(CHECKED) --test schedules -- --nocapture

# Every seeded defect must turn its class of faults red.
sabotage: prerequisites
	@$(ROCKSDB) && if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --locked -p bitacora-trials --features sabotage --test sabotage; \
	else \
	    $(CARGO) test --locked -p bitacora-trials --features sabotage --test sabotage -- --test-threads 1; \
	fi
	$(SHUTTLE) $(CARGO) test $(CHECKED) --features sabotage --test schedules -- --nocapture

# T15 has a build of its own, and a tenth of the time where all classes run.
soak: prerequisites
	@if [ -z "$(SOAK_CLASSES)" ] || [ -n "$(filter-out T15,$(SOAK_CLASSES))" ]; then \
	    $(ROCKSDB) && $(CARGO) run --locked -p bitacora-trials -- \
	        soak --minutes $(SOAK_MINUTES) --log $(SOAK_LOG) $(filter-out T15,$(SOAK_CLASSES)); \
	fi
	@if [ -z "$(SOAK_CLASSES)" ] || [ -n "$(filter T15,$(SOAK_CLASSES))" ]; then \
	    minutes=$$(awk "BEGIN { print $(SOAK_MINUTES) / ($(words $(SOAK_CLASSES)) == 1 ? 1 : 10) }") && \
	    $(SHUTTLE) $(CARGO) run $(CHECKED) -- soak --minutes $$minutes --log $(SOAK_LOG) T15; \
	fi

# T17. RocksDB is not needed, and nothing is written to the checkout.
fuzz:
	@.ci/fuzz "$(TARGET)/fuzz" $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# `make soak-fuzz FUZZ_TARGETS=frame` goes on until the log has FUZZ_RUNS executions of each target.
soak-fuzz:
	@FUZZ_LOG="$(SOAK_LOG)" FUZZ_RUNS=$(FUZZ_RUNS) .ci/fuzz "$(TARGET)/fuzz" $$(($(SOAK_MINUTES) * 60)) $(FUZZ_TARGETS)

lint: prerequisites
	@.ci/prerequisites fmt clippy
	$(CARGO) fmt --all --check
	@$(ROCKSDB) && $(CARGO) clippy --locked --workspace --all-targets --features $(FEATURES) -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked -p bitacora-trials --all-targets --no-default-features --features sabotage -- -D warnings

doc: prerequisites
	@$(ROCKSDB) && RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --lib --features $(FEATURES)

# The files lie in the build folder, or in BITACORA_BENCH_DIR; on an idle machine only.
BENCH = $(CARGO) run --locked --release -p bitacora-bench

bench: prerequisites
	@$(ROCKSDB) && $(BENCH) --bin table -- --short $(BENCH_ARGS)

bench-peers: prerequisites
	@$(ROCKSDB) && $(BENCH) --features peers --bin table -- --short --peers $(BENCH_ARGS)

bench-full: prerequisites
	@$(ROCKSDB) && $(BENCH) --features peers --bin table -- --peers $(BENCH_ARGS)

criterion: prerequisites
	@$(ROCKSDB) && $(CARGO) bench --locked -p bitacora-bench $(BENCH_ARGS)

# Both at once; the folder is that of the build.
man completions: prerequisites
	@$(ROCKSDB) && $(CARGO) run --locked --release --features cli -- generate "$(TARGET)/share"
	@echo "$(TARGET)/share/$@"

header: prerequisites
	@$(ROCKSDB) && UPDATE_HEADER=1 $(CARGO) test --locked -p bitacora-capi --test header

capi: prerequisites
	@$(ROCKSDB) && $(CARGO) build --locked --release -p bitacora-capi
	@echo 'capi/include/bitacora.h, $(TARGET)/release/libbitacora_capi.a, $(TARGET)/release/libbitacora_capi.so'

fmt:
	$(CARGO) fmt --all
