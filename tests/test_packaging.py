"""What a user gets who has no checkout: complete distributions, and no word about a file that is not installed."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("maskcast", "sinks", "sources", "streaming", "trackers")
# Of a working copy, what no checkout has.
OWN = ("build", "dist", "shared", "maskcast-demo", "*.egg-info", "__pycache__", ".*")
# Files and folders of a checkout that no installation has, as a message would name them.
NOT_INSTALLED = re.compile(
    r"\b(docs|deploy|training|examples|benchmarks|tests)/|\b[\w-]+\.md\b|\bREADME\b|\bMakefile\b|\bconstraints\.txt\b"
    r"|\bmake (demo|test|install|setup)\b|\bpip(x)? install '?maskcast"
)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The names in the source distribution, without its folder, and in the wheel that is built of it."""
    folder = tmp_path_factory.mktemp("packaging")
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*OWN))

    def built(kind, where):
        code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}({str(folder)!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    built("sdist", checkout)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        archive.extractall(folder / "unpacked", filter="data")
    built("wheel", next((folder / "unpacked").iterdir()))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return checkout, names, set(wheel.namelist())


def test_the_source_distribution_is_the_checkout(distributions):
    checkout, source, _ = distributions
    files = {str(file.relative_to(checkout)) for file in checkout.rglob("*") if file.is_file()}
    ours = {name for name in files if ".egg-info" not in name and not name.startswith("build/")}
    assert len(ours) > 400
    assert ours - source == set()


def test_the_wheel_holds_the_packages_and_nothing_else(distributions):
    checkout, _, wheel = distributions
    packaged = {name for name in wheel if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in packaged} == set(PACKAGES)
    files = {str(file.relative_to(checkout)) for name in PACKAGES for file in (checkout / name).rglob("*.*")}
    assert packaged == {name for name in files if (checkout / name).is_file()}


def strings(tree):
    """The strings of a program that are no documentation of its own: what it may say to its user."""
    documentation = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A command's docstring is its help.
            if isinstance(node, ast.FunctionDef) and any("command" in ast.unparse(one) for one in node.decorator_list):
                continue
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                documentation.add(first.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node


def test_messages_name_only_what_is_installed():
    seen = 0
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in strings(ast.parse(file.read_text(encoding="utf-8"))):
                seen += 1
                assert not NOT_INSTALLED.search(node.value), f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}"
    assert seen > 1000


@pytest.mark.parametrize(
    "said", ["docs/cameras.toml is an example", "see README.md", "pip install 'maskcast[demo]'", "run make demo"]
)
def test_the_scan_finds_what_it_is_for(said):
    """Each of these stood in a message."""
    [found] = strings(ast.parse(f"raise UsageError({said!r})"))
    assert NOT_INSTALLED.search(found.value)


def test_links_of_the_index_page_lead_somewhere():
    text = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
