# Everything sets itself up: `make demo`, `make install` and `make test` need only Python ≥ 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where `make install` puts the command: $(PREFIX)/bin/maskcast, with an environment of its own beside.
PREFIX ?= $(HOME)/.local
INSTALLED := $(PREFIX)/share/maskcast
# Which torch: cuda for NVIDIA GPUs, or cpu. On Linux pip's usual index has it with 2.7 GB of libraries for GPUs alone.
TORCH ?= $(shell [ -e /proc/driver/nvidia/version ] || command -v nvidia-smi >/dev/null && echo cuda || echo cpu)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
SYSTEM_PACKAGES := mosquitto ffmpeg chromium gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
# Many tests wait for servers and clocks: four processes keep two processors busy, with one thread each for the model.
# What one has compiled the others, and the processes that they start, need not compile again.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal

# What needs nothing of each other goes on at once: packages of the system beside Python's, mypy beside the tests.
MAKEFLAGS += --jobs=2

# Reads requirements: $(call compiled,FILE)
compiled = $(BIN)/uv pip compile --quiet pyproject.toml - --constraint constraints.txt --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make requirements' --python-version 3.12 \
	--python-platform x86_64-manylinux_2_28 --output-file deploy/$(1)

.PHONY: setup system-packages check lint types test suite test-busy slow-test requirements demo install uninstall clean

setup: $(VENV)/installed

# An environment with pip: $(call environment,FOLDER)
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Maskcast needs Python 3.11 or newer")'
@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	apt-get install -y -qq python3-venv; } || { echo "install python3-venv first"; exit 1; }
$(PYTHON) -m venv $(1)
endef

# Maskcast with an extra into an environment, in the versions that are tested: $(call packages,FOLDER,WHAT)
define packages
@case $(TORCH) in \
cpu) echo "torch for CPUs, as there is no NVIDIA GPU or TORCH=cpu says so: 0.4 GB to download in all (TORCH=cuda: 3 GB)" ;; \
cuda) echo "torch for NVIDIA GPUs: 3 GB to download in all (TORCH=cpu: 0.4 GB)" ;; \
*) echo "TORCH is cpu or cuda, not $(TORCH)"; exit 2 ;; esac
@if [ $(TORCH) = cpu ] && [ "$$(uname)" = Linux ] && ! $(1)/bin/python -c 'import torch' 2>/dev/null; then \
	$(1)/bin/pip install --disable-pip-version-check --retries 1 --no-deps --constraint constraints.txt \
		--no-compile --index-url $(TORCH_CPU_INDEX) torch || echo "$(TORCH_CPU_INDEX) has none: taking torch from pip's own index"; fi
$(1)/bin/pip install --disable-pip-version-check --no-compile --constraint constraints.txt $(2)
# On all processors, as pip would not; a few packages have files that no Python compiles.
@$(1)/bin/python -m compileall -qq -j 0 $(1)/lib || true
endef

$(BIN)/pip:
	$(call environment,$(VENV))

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(call packages,$(VENV),--quiet --editable '.[dev]')
	touch $@ $(VENV)/demo

# Without the tools of development; `make test` adds them.
$(VENV)/demo: pyproject.toml constraints.txt | $(BIN)/pip
	$(call packages,$(VENV),--editable '.[demo]')
	touch $@

# Real servers for the tests. Without root the tests that need them skip and say why.
system-packages: | $(BIN)/pip
	@if dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			$(SYSTEM_PACKAGES) >/dev/null; \
	else echo "not root or not Debian: tests that need $(SYSTEM_PACKAGES) will skip"; fi

check: lint types

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: lint
	$(BIN)/mypy

test: suite types

suite: lint system-packages
	$(PYTEST)

# Beside three processes that never rest: no test may depend on a fast machine.
test-busy: setup system-packages
	@for number in 1 2 3; do (while :; do :; done) & busy="$$busy $$!"; done; trap "kill $$busy" EXIT; $(PYTEST)

slow-test: setup
	$(BIN)/python -m pytest -m slow

# What the container installs, with hashes: all of it; all but torch and the CUDA libraries, which are x86-64's; and what a
# node of a Ray cluster has besides: Ray with its dashboard, by which jobs are handed in, and its client for ray://.
requirements: setup
	$(BIN)/pip install --quiet uv
	echo 'setuptools>=77' | $(call compiled,requirements-cuda.txt)
	awk '/^[a-z]/ {left = /^(torch|triton|nvidia-|cuda-)/} !left' deploy/requirements-cuda.txt >deploy/requirements.txt
	printf 'setuptools>=77\nray[client,default]\n' | $(call compiled,requirements-ray.txt) --extra ray
	awk '/^[a-z]/ {left = $$1 in had; if (NR == FNR) had[$$1]} NR > FNR && !left' \
		deploy/requirements-cuda.txt deploy/requirements-ray.txt >deploy/requirements-ray.part
	mv deploy/requirements-ray.part deploy/requirements-ray.txt

demo: $(VENV)/demo
	$(BIN)/maskcast demo
	@echo "the command is $(BIN)/maskcast, such as: $(BIN)/maskcast track VIDEO --prompt person --out masks.mp4"
	@echo "(make install puts it into $(PREFIX)/bin)"

# `build` may hold modules of an older checkout, which would be installed with the rest.
install:
	@[ ! -e $(PREFIX)/bin/maskcast ] || [ $(PREFIX)/bin/maskcast -ef $(INSTALLED)/bin/maskcast ] || \
		{ echo "$(PREFIX)/bin/maskcast is of another installation: uninstall that first"; exit 1; }
	$(call environment,$(INSTALLED))
	rm -rf build
	$(call packages,$(INSTALLED),'.[demo]')
	mkdir -p $(PREFIX)/bin
	ln -sf $(INSTALLED)/bin/maskcast $(PREFIX)/bin/maskcast
	@echo "installed: $(PREFIX)/bin/maskcast"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "$(PREFIX)/bin is not in your PATH" ;; esac

uninstall:
	rm -rf $(INSTALLED) $(PREFIX)/bin/maskcast

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
