# The two commands of the README, and short names for what developers repeat. Everything here is a line or two that can
# be typed by hand; the work is in CMake's presets and in tools/.
#
#   make demo    install what is missing, build, and show the main job on shipped text
#   make test    install what is missing, build, run every test, and count what was skipped and why
.PHONY: help demo test deps build release check format tidy sanitize clean

# libtorch needs 2 GB for each compilation, so two at once unless told otherwise.
JOBS ?= 2

help:
	@echo "make demo      build and run the demonstration: encode, decode and train on shipped text"
	@echo "make test      build and run every test; BROWSER=1 also installs Chromium for the tests of the HTML pages"
	@echo "make deps      install the Debian packages and the one npm package that are missing"
	@echo "make build     build with assertions (preset dev)"
	@echo "make release   build what is installed and measured (preset release)"
	@echo "make check     the checks of the house alone: rooms, documents, layout of the code"
	@echo "make format    lay out the code with clang-format"
	@echo "make tidy      clang-tidy over the torch-free rooms"
	@echo "make sanitize  the torch-free rooms under ASan, UBSan and TSan"
	@echo "make clean     remove build/"

deps:
	tools/install_deps.sh

demo: deps
	cmake --preset release
	cmake --build --preset release --target demo_programs --parallel $(JOBS)
	tools/demo.sh build/release/bin/sluice

test: deps
	JOBS=$(JOBS) tools/run_tests.sh dev asan

build: deps
	cmake --preset dev
	cmake --build --preset dev --parallel $(JOBS)

release: deps
	cmake --preset release
	cmake --build --preset release --parallel $(JOBS)

check: deps
	cmake --preset dev
	cmake --build --preset dev --target house_checks --parallel $(JOBS)
	ctest --preset dev -L house

format:
	git ls-files '*.cc' '*.h' | xargs clang-format -i

tidy: deps
	cmake --preset asan -B build/tidy -DSLUICE_UNITY=OFF
	git ls-files 'src/*.cc' | grep -Ev '^src/(backbone|neural|train|study|cli/torch)/' | xargs clang-tidy -p build/tidy --quiet

sanitize: deps
	JOBS=$(JOBS) tools/run_tests.sh asan tsan

clean:
	rm -rf build
