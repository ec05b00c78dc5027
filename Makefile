# The commands that matter: make demo, make test, make check.

GO ?= go
TESTFLAGS ?=

.PHONY: build demo test test-kernels check generate generated setup-generate setup-bench bench setup clean

build:
	$(GO) build -o bin/ ./cmd/...

# Installs what the lab and the tests need, and says so; silent if all is there.
setup:
	@lab/setup.sh

demo: setup build
	bin/lab demo

# Tests take the parts of the kernel that they need for themselves, in network
# namespaces, so packages can run side by side. Results are never taken from the
# cache: it knows nothing of FRR and the kernel.
test: setup
	$(GO) test -count=1 $(TESTFLAGS) ./...

# The same tests of what depends on the kernel's release, on Debian's 5.10, 6.1
# and 6.12 under QEMU: see docs/etherfix.md for how long it takes.
test-kernels:
	@lab/setup.sh qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio xz:xz-utils zstd:zstd
	@lab/kernels.sh $(KERNELS)

# The quick gate before a commit: no root, no network namespaces.
check:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:" $$unformatted >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) vet -tags kernels ./bpf/uplink
	$(GO) tool staticcheck ./...
	$(GO) test ./cmd
	@$(MAKE) --no-print-directory generated

# The BPF objects are committed, so that only who changes the C needs a compiler.
# They are byte for byte what this one makes: another release makes others.
CLANG := clang-14
generate:
	$(GO) generate ./bpf/...

# Proves the objects current, where that compiler is. In CI it has to be.
generated:
	@if command -v $(CLANG) >/dev/null && command -v llvm-strip-14 >/dev/null; then bpf/generated.sh; \
	elif [ -n "$$CI" ]; then echo "CI has no $(CLANG): make setup-generate" >&2; exit 1; \
	else echo "check: no $(CLANG) here, so the BPF objects were not proven current (make setup-generate installs it)"; fi

setup-generate:
	@lab/setup.sh $(CLANG):$(CLANG) llvm-strip-14:llvm-14

# Other NETCONF clients, for lab bench poll.
PYTHON := /usr/lib/python3/dist-packages
setup-bench:
	@lab/setup.sh $(PYTHON)/ncclient:python3-ncclient $(PYTHON)/jnpr/junos:python3-junos-eznc

# Side by side with FRR and BIRD, and PyEZ and ncclient, on this machine; see docs/measurements.md.
bench: setup-bench build
	bin/lab bench bringup
	bin/lab bench scale
	bin/lab bench table
	bin/lab bench failover
	bin/lab bench bfd
	bin/lab bench etherfix
	bin/lab bench poll
	bin/lab bench sidecars
	bin/lab bench ports

clean:
	rm -rf bin
