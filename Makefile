# airbundle: make demo shows it, make test checks it. Only Go and make are needed.

GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
TOOLS     := $(CURDIR)/.tools
LINT      := $(TOOLS)/golangci-lint-v2.15.0
PLATFORMS := linux/amd64 linux/arm64
BUILD     := CGO_ENABLED=0 go build -trimpath -buildvcs=true
FUZZTIME  ?= 60s
SUITES    := test/crash test/faults test/scripts test/format test/reliability test/hostile test/messages

export CGO_ENABLED ?= 0

.PHONY: all build demo test faults race check fmt vet lint layers fuzz bench agreement vuln dist clean

all: check test

build:            ## both programs, for this machine, into bin/
	$(BUILD) -o bin/ ./cmd/bundler ./cmd/seeder

demo:             ## the main job, end to end, with artifacts made on the spot
	go run ./examples/quickstart

test:             ## all tests; says what it skipped
	go run ./test/run -count=1 ./...

faults:           ## every fault of docs/reliability.md, at all of its points; counts what it tried
	AIRBUNDLE_FAULTS=full go run ./test/run -count=1 -timeout 2h $(addprefix ./,$(addsuffix /...,$(SUITES)))

race:             ## the tests again, with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

check: fmt vet lint layers ## format, vet, lint, layers

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

vet:
	go vet ./...

lint: $(LINT)
	$(LINT) run ./...

$(LINT):
	GOBIN=$(TOOLS) GOFLAGS= go install $(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@

layers:           ## imports point to a strictly lower layer
	go test -count=1 ./test/layers

fuzz:             ## every fuzz target for FUZZTIME; with FUZZCPU=600s until each has used so much processor time
	go run ./test/fuzz $(if $(FUZZCPU),-cpu $(FUZZCPU),-time $(FUZZTIME)) $(if $(FUZZONLY),-only '$(FUZZONLY)') $(if $(FUZZLEDGER),-ledger $(FUZZLEDGER))

bench:            ## benchmarks of the parts, and of the whole against a floor
	go test -run '^$$' -bench . -benchmem ./...

agreement:        ## all our choices of packages beside dnf's; takes an hour of processor time
	go test -tags agreement -count=1 -timeout 6h -v ./test/agreement

vuln:             ## known vulnerabilities that our code reaches; its database must be reachable
	@out=$$(go run $(VULNCHECK) ./... 2>&1); s=$$?; echo "$$out"; \
	case "$$out" in *"fetching vulnerabilities"*) \
	  echo "make vuln: the vulnerability database cannot be reached from here: nothing was checked";; esac; exit $$s

dist:             ## static programs for linux amd64 and arm64, into dist/
	@for p in $(PLATFORMS); do \
	  os=$${p%/*} arch=$${p#*/}; echo "dist/$$os-$$arch"; \
	  GOOS=$$os GOARCH=$$arch $(BUILD) -ldflags '-s -w' -o dist/$$os-$$arch/ ./cmd/bundler ./cmd/seeder || exit 1; \
	done
	@cd dist && sha256sum */* > SHA256SUMS && cat SHA256SUMS

clean:
	rm -rf bin dist .tools
