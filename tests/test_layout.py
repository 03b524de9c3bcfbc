"""The borders between the packages, as CONTRIBUTING.md draws them."""

import ast
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.patience import patient

OURS = {"streaming", "trackers", "sources", "sinks"}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ["sources", "sinks", "trackers"])
def test_packages_know_only_themselves_and_the_ground_floor(package):
    for file in modules(package):
        roots = {name.split(".")[0] for name in imports(file)} & OURS
        assert roots <= {package}, f"{file} imports {roots}"


def test_the_ground_floor_imports_nothing_of_ours():
    for file in modules("maskcast"):
        roots = {name.split(".")[0] for name in imports(file)} & OURS
        assert not roots, f"{file} imports {roots}"


def test_trackers_need_no_decoder_no_broker_and_no_web_server():
    allowed = {"torch", "transformers", "huggingface_hub", "numpy", "scipy", "safetensors", "trackers", "maskcast"}
    for file in modules("trackers"):
        roots = {name.split(".")[0] for name in imports(file)}
        assert roots - allowed <= set(sys.stdlib_module_names), f"{file}: {roots - allowed}"


def test_the_command_starts_without_loading_torch_or_a_decoder():
    code = "import sys, streaming.cli; print([m for m in ('torch', 'transformers', 'av', 'cv2') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_no_file_asks_to_be_split():
    for package in OURS:
        for file in modules(package):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


def test_the_process_ends_with_its_code_whatever_threads_are_at_work_and_with_its_last_words():
    code = """
import logging, threading, time
from concurrent.futures import ThreadPoolExecutor
from streaming.cli import leave
from streaming.logs import configure_logs
configure_logs("info", "text")
for _ in range(30):
    logging.getLogger("streaming.test").warning("again")
threading.Thread(target=lambda: time.sleep(600), daemon=True).start()
ThreadPoolExecutor(1).submit(time.sleep, 600)  # which the interpreter would join
print("out", end="")
leave(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=patient(30)
    )
    assert (ended.returncode, ended.stdout) == (3, "out")
    assert "again … repeated 20 times" in ended.stderr
