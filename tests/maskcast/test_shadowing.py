"""A package of another distribution in place of one of ours: one line that says so, not a traceback from its depths."""

import shutil
import subprocess
import sys

import pytest

from maskcast.shadowing import PACKAGES, refuse_shadows
from tests.paths import ROOT

MAIN = "from maskcast.__main__ import main; main()"
ADVICE = (
    "Maskcast wants an environment of its own: install it with pipx, with uv tool, or into a new virtual environment\n"
)


def python(*arguments, folder=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def installed(tmp_path):
    """A `site-packages` as a wheel leaves it, as far as it matters."""
    site = tmp_path / "site-packages"
    shutil.copytree(ROOT / "maskcast", site / "maskcast")
    for name in PACKAGES:
        (site / name).mkdir()
        shutil.copy(ROOT / name / "__init__.py", site / name)
    return site


def start(site):
    """Start the command from there, and from nowhere else."""
    return python("-P", "-S", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {MAIN}")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_comes_first_is_named_and_not_imported(tmp_path, name):
    foreign = tmp_path / name / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("raise SystemExit('imported')")
    said = python("-P", "-c", MAIN, "track", PYTHONPATH=str(tmp_path))
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"maskcast: error: {foreign} hides Maskcast's package {name}; {ADVICE}"


def test_the_python_api_says_it_too(tmp_path):
    (tmp_path / "sources.py").write_text("raise SystemExit('imported')")
    (tmp_path / "mine.py").write_text("from maskcast import MaskcastError\nfrom maskcast import track\n")
    said = python(tmp_path / "mine.py", PYTHONPATH=str(ROOT))
    line = f"maskcast.errors.UsageError: {tmp_path / 'sources.py'} hides Maskcast's package sources; {ADVICE}"
    assert (said.returncode, said.stderr.splitlines(keepends=True)[-1]) == (1, line)


def test_so_is_a_module_in_the_working_directory(tmp_path):
    (tmp_path / "sources.py").write_text("")
    said = python("-m", "maskcast", "track", folder=tmp_path, PYTHONPATH=str(ROOT))
    assert said.returncode == 2
    assert said.stderr.startswith(f"maskcast: error: {tmp_path / 'sources.py'} hides Maskcast's package sources; ")


def test_what_was_installed_over_ours_is_named_with_its_distribution(installed):
    foreign = installed / "trackers" / "__init__.py"
    foreign.write_text('"""Multi-object tracking."""\nraise SystemExit("imported")\n')
    metadata = installed / "trackers-2.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: trackers\nVersion: 2.1.0\n")
    (metadata / "RECORD").write_text("trackers/__init__.py,,\ntrackers/core.py,,\n")
    said = start(installed)
    hides = f"{foreign}, of the distribution trackers 2.1.0, hides Maskcast's package trackers"
    assert (said.returncode, said.stderr) == (2, f"maskcast: error: {hides}; {ADVICE}")


def test_what_another_distribution_took_with_it_is_missing(installed):
    (installed / "trackers" / "__init__.py").unlink()
    said = start(installed)
    missing = "Maskcast's package trackers is missing from this installation"
    assert (said.returncode, said.stderr) == (2, f"maskcast: error: {missing}; {ADVICE}")


def test_a_folder_that_stands_in_for_a_package_is_named(installed, tmp_path):
    """An editable installation's packages come after it."""
    shutil.rmtree(installed / "sources")
    folder = tmp_path / "mine" / "sources"
    folder.mkdir(parents=True)
    code = f"import sys; sys.path[:0] = [{str(folder.parent)!r}, {str(installed)!r}]; {MAIN}"
    said = python("-P", "-S", "-c", code)
    assert (said.returncode, said.stderr) == (
        2,
        f"maskcast: error: {folder} hides Maskcast's package sources; {ADVICE}",
    )


def test_our_own_packages_are_let_pass_without_importing_them(installed):
    refuse_shadows()
    heavy = [*PACKAGES, "importlib.metadata"]
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from maskcast.shadowing import refuse_shadows;"
    said = python("-S", "-c", f"{code} refuse_shadows(); print([name for name in {heavy} if name in sys.modules])")
    assert (said.stdout, said.stderr) == ("[]\n", "")
