# Every recipe is one script: scripts/*.sh. ARGS= goes to the program that runs, e.g. make serve ARGS="--port 8080".
PREFIX ?= /usr/local
ARGS ?=

.PHONY: all serve test test-clients test-gpu sanitize-gpu check bench cuda musa musa-shim install dist asan tsan clean help

all: ## configure and build
	@scripts/install_packages.sh build test
	@scripts/build.sh cpu --tests

serve: ## install, build, fetch what is missing; serve the default model at 127.0.0.1:30000
	@scripts/serve.sh $(ARGS)

test: ## build and run the unit tests (offline)
	@scripts/test.sh cpu

test-clients: ## run the whole server with real clients and bad ones (fetches the clients once)
	@scripts/test_clients.sh $(ARGS)

cuda: ## build-cuda/musaic: with the CUDA backend (CUDA_HOME, or NVIDIA's compiler fetched once)
	@scripts/install_packages.sh build
	@scripts/build_cuda.sh musaic

musa: ## build-musa/musaic: with the MUSA backend (MUSA_HOME names the SDK; docs/MUSA.md)
	@scripts/install_packages.sh build
	@scripts/build_musa.sh musaic

musa-shim: ## build-musa-shim/musaic: the MUSA backend over a stand-in for the SDK that forwards to CUDA
	@scripts/install_packages.sh build
	@scripts/build_musa_shim.sh musaic

test-gpu: ## tests of the CUDA backend and its kernels on this machine's GPU; names them where there is none
	@scripts/test_gpu.sh

sanitize-gpu: ## compute-sanitizer's memcheck and racecheck over every op's kernels on this machine's GPU
	@scripts/sanitize_gpu.sh $(ARGS)

check: ## formatting, folder rules, warnings as errors
	@scripts/check.sh

bench: ## speed of this build: musaic bench and a 16-client load
	@scripts/bench.sh $(ARGS)

install: ## install under PREFIX (default /usr/local)
	@scripts/install.sh "$(PREFIX)"

dist: ## dist/musaic-VERSION-linux-ARCH.tar.gz: binary, libraries, documents, licences (ARGS=cuda: with the CUDA backend)
	@scripts/dist.sh $(ARGS)

asan: ## unit tests and whole-server tests under the address and undefined-behaviour sanitizers
	@scripts/sanitize.sh asan

tsan: ## the same under the thread sanitizer
	@scripts/sanitize.sh tsan

clean: ## remove what was built (the fetched model stays)
	@rm -rf build build-cuda build-musa build-musa-shim build-asan build-tsan dist

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 15
