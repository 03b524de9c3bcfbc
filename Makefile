# Everything sets itself up: `make demo` and `make test` need only Python ≥ 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := mosquitto ffmpeg gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
# Many tests wait for servers and clocks: three processes keep two processors busy, with one thread each for the model.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

.PHONY: setup system-packages check test test-busy slow-test requirements demo clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Maskcast needs Python 3.11 or newer")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
		apt-get install -y -qq python3-venv; } || { echo "install python3-venv first"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Real servers for the tests. Without root the tests that need them skip and say why.
system-packages:
	@if dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			$(SYSTEM_PACKAGES) >/dev/null; \
	else echo "not root or not Debian: tests that need $(SYSTEM_PACKAGES) will skip"; fi

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup system-packages check
	$(PYTEST)

# Beside three processes that never rest: no test may depend on a fast machine.
test-busy: setup system-packages
	@for number in 1 2 3; do (while :; do :; done) & busy="$$busy $$!"; done; trap "kill $$busy" EXIT; $(PYTEST)

slow-test: setup
	$(BIN)/python -m pytest -m slow

# What the container installs, with hashes: all of it, and all but torch and the CUDA libraries, which are x86-64's.
requirements: setup
	$(BIN)/pip install --quiet uv
	echo 'setuptools>=77' | $(BIN)/uv pip compile --quiet pyproject.toml - --constraint constraints.txt --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command 'make requirements' --python-version 3.12 \
		--python-platform x86_64-manylinux_2_28 --output-file deploy/requirements-cuda.txt
	awk '/^[a-z]/ {left = /^(torch|triton|nvidia-|cuda-)/} !left' deploy/requirements-cuda.txt >deploy/requirements.txt

demo: setup
	$(BIN)/maskcast demo

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
