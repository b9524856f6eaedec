# Everything a developer types. Each target makes what it needs first: a virtual environment in .venv with the
# versions of requirements/dev.txt, and release builds of the native modules. A second run starts at once.

PYTHON ?=
# .build/bin holds a Node where the machine has none that will do (tools/node.sh).
export PATH := $(CURDIR)/.build/bin:$(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# pyright asks a registry about newer versions of itself otherwise.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

VENV := .venv
BIN := $(VENV)/bin
STAMPS := .build
NATIVE := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml

# The sources of the library for C and C++ alone.
LIBIPMB := $(shell find $(patsubst %,crates/%/src,c binding bus transport) -name '*.rs') Cargo.toml Cargo.lock \
	$(patsubst %,crates/%/Cargo.toml,c binding bus transport) crates/c/build.rs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: again help demo demo-languages test test-rust test-python node test-node node-types lint format types loom bench picture bench-scaling instructions torture fuzz corpus coverage sanitize miri docs wheels header c install uninstall lock clean

help: ## what can be made
	@echo "ipmb: an inter-process message bus. make ..."
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(STAMPS)/native ## two processes talk; a third, the controller, is killed; the talk goes on
	@$(BIN)/python -m ipmb demo

demo-languages: $(STAMPS)/native $(STAMPS)/c/installed $(STAMPS)/node ## endpoints in Python, C, C++ and Node on one bus print what they get from each other
	@$(BIN)/python -m tools.demo_languages

test: lint types docs test-rust loom test-node test-python ## everything: lint, types, Rust tests, loom, Python tests

test-rust: $(STAMPS)/tools ## the tests of the crates
	cargo test --locked --quiet --workspace

test-python: $(STAMPS)/native $(STAMPS)/victims $(STAMPS)/c/installed $(STAMPS)/node ## the tests of the package
	$(BIN)/python -m pytest

node: $(STAMPS)/node ## the Node package, in crates/node

test-node: $(STAMPS)/node ## the tests of the Node package, by Node's own runner
	cd crates/node && npm test

node-types: $(STAMPS)/npm ## make again what the Node package has checked in: lib/ and the types
	cd crates/node && npm run --silent types

lint: $(STAMPS)/venv ## format and lint of both languages, loom's and Miri's code too, nothing is changed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	cargo fmt --all --check
	cargo clippy --locked --quiet --workspace --all-targets -- --deny warnings
	RUSTFLAGS="--cfg loom" cargo clippy --locked --quiet -p ipmb-transport --lib --tests --target-dir target/loom -- --deny warnings
	RUSTFLAGS="--cfg miri" cargo clippy --locked --quiet -p ipmb-transport --lib --tests --target-dir target/miri -- --deny warnings

format: $(STAMPS)/venv ## format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cargo fmt --all

types: $(STAMPS)/native ## mypy --strict, pyright, and the stubs against the native module
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m mypy.stubtest ipmb._core --mypy-config-file pyproject.toml --ignore-disjoint-bases

loom: $(STAMPS)/tools ## the model checker over the ring
	RUSTFLAGS="--cfg loom" cargo test --locked --quiet --release -p ipmb-transport --test loom --target-dir target/loom

bench: $(STAMPS)/native $(STAMPS)/c/installed $(STAMPS)/node ## bytes, typed payloads, arrays, descriptors, languages, beside others and beside what is possible (QUICK=1: 3 minutes)
	$(BIN)/python -m benches
	$(BIN)/python -m benches.languages

picture: $(STAMPS)/native ## pictures and tables of docs/performance.md, from what `make bench` and `make bench-scaling` have measured
	$(BIN)/python -m benches.pictures
	$(BIN)/python -m benches.scaling.picture
	$(BIN)/python -m benches.page

bench-scaling: $(STAMPS)/native ## many senders, receivers, members; drift, memory, idleness, takeovers (QUICK=1: 2 minutes instead of 16)
	$(BIN)/python -m benches.scaling

instructions: $(STAMPS)/native ## renew the checked-in instruction counts that tests/instructions compares with
	$(BIN)/python -m tests.instructions

torture: $(STAMPS)/native $(STAMPS)/victims ## faults for hours (TRIALS="storm soak" COUNT=1000 SEED=7 MINUTES=10 REPLAY=a failing case's file)
	$(BIN)/python -m tests.faults.torture

fuzz: $(STAMPS)/native ## fuzzers for ten minutes a target (COUNT=60: seconds; REPLAY=a failing case's file)
	$(BIN)/python -m tests.faults.torture fuzz

corpus: $(STAMPS)/native ## keep the smallest set of cases that reaches all that `make fuzz` has reached
	$(BIN)/python -m tests.faults.torture.fuzzing

coverage: $(STAMPS)/venv ## branch coverage of what reads the bytes of others, and why each gap is one
	$(BIN)/python -m tools.coverage

sanitize: $(STAMPS)/venv ## the Rust tests under AddressSanitizer, and under ThreadSanitizer where there is a nightly toolchain
	$(BIN)/python -m tools.sanitize

miri: $(STAMPS)/venv ## what Miri can run of the Rust tests, where there is a nightly toolchain with it
	$(BIN)/python -m tools.sanitize miri

docs: $(STAMPS)/venv ## the documentation site, into .build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo "$(STAMPS)/site/index.html"

wheels: $(STAMPS)/venv ## wheels for every Python found, and the source distribution, into dist/
	$(BIN)/python -m tools.wheels

header: $(STAMPS)/rust ## write crates/c/include/ipmb_ffi.h anew, from the source of the C library
	IPMB_WRITE_HEADER=1 cargo test --locked --quiet -p ipmb-ffi --test header

c: $(STAMPS)/libipmb ## the library for C and C++, in target/release

install: $(STAMPS)/libipmb ## the library for C and C++ into PREFIX (make install PREFIX=/usr/local LIBDIR=lib DESTDIR=)
	@DESTDIR='$(DESTDIR)' crates/c/install/install.sh target/release '$(or $(PREFIX),/usr/local)' '$(or $(LIBDIR),lib)'

uninstall: ## remove what `make install` has installed (the same PREFIX, LIBDIR and DESTDIR)
	@DESTDIR='$(DESTDIR)' crates/c/install/uninstall.sh '$(or $(PREFIX),/usr/local)' '$(or $(LIBDIR),lib)'

lock: $(STAMPS)/tools ## resolve requirements/dev.in into requirements/dev.txt
	rm -rf $(STAMPS)/lock
	"$$(tools/need.sh)" -m venv $(STAMPS)/lock
	$(STAMPS)/lock/bin/pip install --quiet -r requirements/dev.in
	sed -n '/^# Exact/p' requirements/dev.txt > $(STAMPS)/dev.txt
	sed -n 's/^\([a-z0-9-]*\) *; *\([^#]*[^# ]\).*$$/s~^\1==.*~\&; \2~/p' requirements/dev.in > $(STAMPS)/lock/markers
	$(STAMPS)/lock/bin/pip freeze | sed -f $(STAMPS)/lock/markers >> $(STAMPS)/dev.txt
	mv $(STAMPS)/dev.txt requirements/dev.txt

again:

clean: ## remove everything that was built
	rm -rf $(VENV) $(STAMPS) target dist python/ipmb/_core*.so crates/node/ipmb-js.node crates/node/LICENSE-* crates/node/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find python tests benches tools -name __pycache__ -prune -exec rm -rf {} +

# Stamps: a file that is newer than what it was made from.

$(STAMPS)/tools: tools/need.sh
	@PYTHON='$(PYTHON)' tools/need.sh > /dev/null
	@mkdir -p $(STAMPS) && touch $@

# What is built without Python.
$(STAMPS)/rust: tools/need.sh
	@tools/need.sh rust
	@mkdir -p $(STAMPS) && touch $@

# What programs in C and C++ are built with, for their tests.
$(STAMPS)/compilers: tools/need.sh $(STAMPS)/tools
	@PYTHON='$(PYTHON)' tools/need.sh languages > /dev/null
	@touch $@

$(STAMPS)/venv: requirements/dev.txt | $(STAMPS)/tools
	@echo "making $(VENV) from requirements/dev.txt"
	@rm -rf $(VENV)
	@"$$(PYTHON='$(PYTHON)' tools/need.sh)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -r requirements/dev.txt
	@touch $@

$(STAMPS)/native: $(NATIVE) $(STAMPS)/venv
	@echo "building the native module (a few minutes the first time)"
	@$(BIN)/maturin develop --release --locked --quiet > $(STAMPS)/native.log 2>&1 || { cat $(STAMPS)/native.log; exit 1; }
	@touch $@

# Who installs may be another user, who has no cargo: what is built already is not built again.
$(STAMPS)/libipmb: $(LIBIPMB) $(STAMPS)/rust $(if $(wildcard target/release/libipmb.so),,again)
	@echo "building the library for C and C++ (a minute or two the first time)"
	@cargo build --locked --quiet --release -p ipmb-ffi
	@touch $@

# The library for C and C++ and the peer in Rust, where tests look for them.
$(STAMPS)/c/installed: $(STAMPS)/libipmb $(wildcard crates/binding/examples/* crates/c/include/* crates/c/install/*) $(STAMPS)/compilers
	@cargo build --locked --quiet -p ipmb-binding --example peer
	@rm -rf $(STAMPS)/c
	@crates/c/install/install.sh target/release '$(abspath $(STAMPS)/c)' > /dev/null
	@cp target/debug/examples/peer $(STAMPS)/c/peer
	@touch $@

# Node is found on the path: the machine's own, or the one among the development tools.
$(STAMPS)/nodejs: tools/node.sh $(STAMPS)/rust $(shell tools/node.sh || echo $(STAMPS)/venv)
	@tools/node.sh $(STAMPS)/bin $(BIN)/python
	@touch $@

# What compiles and checks TypeScript; the package itself needs nothing.
$(STAMPS)/npm: crates/node/package.json crates/node/package-lock.json $(STAMPS)/nodejs
	@cd crates/node && npm ci --silent --no-audit --no-fund
	@touch $@

$(STAMPS)/node: $(NATIVE) $(STAMPS)/npm
	@echo "building the Node addon (a minute the first time)"
	@cd crates/node && npm run --silent build
	@mkdir -p $(STAMPS)/node_modules && ln -sfn ../../crates/node $(STAMPS)/node_modules/ipmb-js
	@touch $@

# Programs that follow and kill what they start: built here, since who tests as a plain user cannot write target/.
$(STAMPS)/victims: $(NATIVE) $(STAMPS)/tools
	@echo "building the programs that are killed at every instruction"
	@cargo test --locked --quiet --release -p ipmb-bus --test deaths --test failing_calls --no-run --message-format=json > $(STAMPS)/victims.json
	@mkdir -p $(STAMPS)/programs
	@for program in deaths failing_calls; do \
		built=$$(sed -n "s/.*\"executable\":\"\([^\"]*\/$$program-[^\"]*\)\".*/\1/p" $(STAMPS)/victims.json); \
		cp -f "$$built" $(STAMPS)/programs/$$program; \
	done
	@touch $@
