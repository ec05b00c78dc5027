# The commands that matter: make demo, make test, make check.

GO ?= go
TESTFLAGS ?=

.PHONY: build demo test check bench setup clean

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

# The quick gate before a commit: no root, no network namespaces.
check:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:" $$unformatted >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./cmd

# Side by side with FRR and BIRD on this machine; see docs/measurements.md.
bench: setup build
	bin/lab bench bringup
	bin/lab bench scale
	bin/lab bench table
	bin/lab bench failover
	bin/lab bench bfd

clean:
	rm -rf bin
