# The commands of the project. Each installs what it needs (Debian 12 packages, by scripts/setup) and then builds.
.PHONY: help run build test asan tsan data-set bench lint analyse format fuzz docs install clean

ARGS ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
# What the randomised suites do under sanitizers, where everything takes several times as long.
SMALLER = HOLDFAST_PROGRAMS=$${HOLDFAST_PROGRAMS:-20} HOLDFAST_OPERATIONS=$${HOLDFAST_OPERATIONS:-20000} \
  HOLDFAST_SEEDS=$${HOLDFAST_SEEDS:-100} HOLDFAST_CYCLES=$${HOLDFAST_CYCLES:-20} HOLDFAST_STRIDE=$${HOLDFAST_STRIDE:-7} \
  HOLDFAST_CUTS=$${HOLDFAST_CUTS:-100} \
  HOLDFAST_TARGETS=$${HOLDFAST_TARGETS:-memory,file,sqlite,per_database_sqlite,redis,postgres}

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## Build the library, the program holdfast and the example
	@scripts/setup build
	@cmake --preset release -DHOLDFAST_TESTS=OFF -DHOLDFAST_BENCH=OFF >/dev/null
	@cmake --build build/release

run: build ## Serve sqlite: in ./data until Ctrl-C (arguments in ARGS="...")
	@mkdir -p data
	@build/release/bin/holdfast serve $(ARGS)

test: ## Build and run all test suites
	@scripts/setup test
	@cmake --preset release -DHOLDFAST_TESTS=ON -DHOLDFAST_BENCH=OFF >/dev/null
	@cmake --build build/release
	@scripts/run-tests release

asan: ## The test suites under AddressSanitizer and UndefinedBehaviorSanitizer (clang)
	@scripts/setup test lint
	@cmake --preset asan >/dev/null
	@cmake --build build/asan
	@$(SMALLER) scripts/run-tests asan

tsan: ## The concurrent test suites under ThreadSanitizer
	@scripts/setup test
	@cmake --preset tsan >/dev/null
	@cmake --build build/tsan --target concurrent_tests
	@$(SMALLER) scripts/run-tests tsan -L concurrent

data-set: build ## Import, query, dump, load and copy 109 MB of real documents, with kills in between
	@scripts/setup data
	@scripts/data-set

bench: ## Measure against LevelDB, LMDB, SQLite, Redis, pg-boss and BullMQ; writes build/bench
	@scripts/setup bench
	@cmake --preset release -DHOLDFAST_BENCH=ON >/dev/null
	@cmake --build build/release
	@scripts/bench $(ARGS)

lint: ## clang-format, and clang's warnings as errors
	@scripts/setup test lint
	@scripts/lint

analyse: ## clang-tidy over the library
	@scripts/setup test lint
	@scripts/lint --analyse

format: ## Format all sources
	@scripts/setup lint
	@scripts/lint --fix

fuzz: ## Run each fuzz target for FUZZ_SECONDS seconds
	@scripts/setup fuzz
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz
	@scripts/fuzz $(FUZZ_SECONDS)

docs: ## Build the reference of the public headers into build/docs
	@scripts/setup docs
	@mkdir -p build/docs
	@doxygen docs/Doxyfile

install: build ## Install headers, library, CMake package and pkg-config file under PREFIX
	@cmake --install build/release --prefix $(PREFIX)

clean: ## Remove everything that was built
	@rm -rf build
