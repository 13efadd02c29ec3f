# The two commands that a newcomer needs are `make demo` and `make test`.
SAMPLE := Sources/Facet/Resources/astronaut.jpg
FACET := .build/release/facet

.PHONY: help setup verify-libtorch build demo test fuzz soak kills docs bench install uninstall deb test-package clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Set up, build, and give the astronaut of the sample black hair and glasses
	$(FACET) edit $(SAMPLE) --attribute Black_Hair=1 --attribute Eyeglasses=thin-metal -o demo/astronaut.jpg --force
	@echo "The astronaut of $(SAMPLE) has black hair and glasses in demo/astronaut.jpg"

# Tests run what ships, optimized: in a debug build they take four times as long. They have a folder of their own, for
# what they see of the modules (`@testable`) changes how all of them are compiled.
# Products are named, for a build without a name makes all that the dependencies have, protoc among them. That of the
# tests has the program beside it, which they depend on.
TESTING := --configuration release --scratch-path .build/testing -Xswiftc -enable-testing
# Tests in a browser and with several processes need the machine for themselves, for they notice when the other side does
# not answer in time. The others keep all cores busy by themselves: threads of LibTorch's besides would wait for each other.
ALONE := BrowserTests|ProcessesTests|ProcessGroupTests
# The examples are another package. Built in the same folder, they take what is compiled there.
BUILT := .build/testing/release
test: setup ## Set up, check documents and public symbols, run all tests, and build and run the examples
	Scripts/lint-docs
	Scripts/lint-api
	swift build $(TESTING) --product facetPackageTests
	FACET_PYTHON="$$(Scripts/test-python)" && export FACET_PYTHON \
	  && export FACET_PROGRAM="$(CURDIR)/$(BUILT)/facet" \
	  && OMP_NUM_THREADS=1 swift test $(TESTING) --skip-build --skip '$(ALONE)' \
	  && swift test $(TESTING) --skip-build --filter '$(ALONE)'
	swift build $(TESTING) --package-path Examples
	mkdir -p demo && $(BUILT)/portrait $(SAMPLE) demo/portrait.jpg && test -s demo/portrait.jpg
	rm -f demo/stopped.jpg; ! $(BUILT)/portrait $(SAMPLE) demo/stopped.jpg 0 && test ! -e demo/stopped.jpg

setup: ## Install what is missing: Debian packages, LibTorch
	@Scripts/setup

verify-libtorch: ## Check every file of the unpacked LibTorch
	@Scripts/setup --verify

build: setup ## Build the release binary .build/release/facet
	swift build --configuration release --product facet

# Options of the three: make fuzz FUZZ='--photos 200', make soak FUZZ='--clients 16 --minutes 0.5', make kills FUZZ='--times 2'
fuzz: build ## Attack the program: mutated photos and bundles, fuzzed requests, broken exchanges
	"$$(Scripts/test-python)" Tests/Fuzz/fuzz.py $(FUZZ)

soak: build ## Many clients at once, a quarter of them hostile, every picture compared
	"$$(Scripts/test-python)" Tests/Fuzz/clients.py $(FUZZ)

kills: build ## Kill long commands and fill their disks, and compare what they leave
	"$$(Scripts/test-python)" Tests/Fuzz/kills.py $(FUZZ)

docs: setup ## Write the documentation to .build/documentation
	mkdir -p .build/documentation
	for target in Facet FacetTraining FacetConversion; do \
	  swift package --allow-writing-to-directory .build/documentation generate-documentation --target $$target \
	    --warnings-as-errors --output-path .build/documentation/$$target || exit 1; \
	done

PREFIX ?= /usr/local
install: build ## Install the program under PREFIX (/usr/local), with LibTorch and Swift's runtime beside it
	@Scripts/stage "$(PREFIX)"

uninstall: ## Remove what 'make install' put under PREFIX
	@Scripts/stage --remove "$(PREFIX)"

deb: build ## Make a Debian package in .build/package
	@Scripts/package .build/package

test-package: deb ## Install the package into a clean Debian and edit a photo there (root, mmdebstrap)
	@Scripts/test-package .build/package/facet_*.deb

bench: build ## Measure Facet and its peers
	swift build --configuration release --package-path Benchmarks --product facet-step
	swift build --configuration release --package-path Benchmarks --product facet-data
	Benchmarks/run

clean: ## Remove what was built; the unpacked LibTorch stays in the cache
	rm -rf .build Examples/.build demo
