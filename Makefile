# Every recipe is one script: scripts/*.sh. ARGS= goes to the program that runs, e.g. make serve ARGS="--port 8080".
PREFIX ?= /usr/local
ARGS ?=

.PHONY: all serve test test-clients check bench install dist asan tsan clean help

all: ## configure and build
	@scripts/install_packages.sh build test
	@scripts/build.sh cpu --tests

serve: ## install, build, fetch what is missing; serve the default model at 127.0.0.1:30000
	@scripts/serve.sh $(ARGS)

test: ## build and run the unit tests (offline)
	@scripts/test.sh cpu

test-clients: ## run the whole server with real clients and bad ones (fetches the clients once)
	@scripts/test_clients.sh $(ARGS)

check: ## formatting, folder rules, warnings as errors
	@scripts/check.sh

bench: ## speed of this build: musaic bench and a 16-client load
	@scripts/bench.sh $(ARGS)

install: ## install under PREFIX (default /usr/local)
	@scripts/install_packages.sh build
	@scripts/build.sh cpu musaic
	@cmake --install build --prefix "$(PREFIX)" --component musaic

dist: ## dist/musaic-VERSION-linux-ARCH.tar.gz: binary, documents, licences
	@scripts/dist.sh

asan: ## unit tests and whole-server tests under the address and undefined-behaviour sanitizers
	@scripts/sanitize.sh asan

tsan: ## the same under the thread sanitizer
	@scripts/sanitize.sh tsan

clean: ## remove what was built (the fetched model stays)
	@rm -rf build build-asan build-tsan dist

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 15
