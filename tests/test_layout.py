"""The plan of the house, as CONTRIBUTING.md draws it: floors, wings, and tests that mirror them."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.paths import ROOT

OURS = {"maskcast", "sources", "trackers", "sinks", "streaming"}
# What each package may import of ours; `from maskcast import track` and the command reach up, when they are asked for.
FLOORS = {
    "maskcast": {"maskcast"},
    "sources": {"maskcast", "sources"},
    "trackers": {"maskcast", "trackers"},
    "sinks": {"maskcast", "sinks"},
    "streaming": OURS,
}
UPWARDS = {
    ("maskcast/__init__.py", "streaming.api"),
    ("maskcast/__init__.py", "streaming.tracker"),
    ("maskcast/__main__.py", "streaming"),
}
SINKS = {f"sinks.{file.parent.name}" for file in (ROOT / "sinks").glob("*/__init__.py")}
ABOVE = {"streaming.service", "streaming.commands", "streaming.cli"}
CLUSTER = "streaming.cluster"
# What a wing must not import of its own package.
WINGS = {
    # Each folder of sinks knows the messages and no other folder.
    **{wing: SINKS - {wing, "sinks.messages"} for wing in sorted(SINKS)},
    "trackers.detection": {"trackers.memory"},
    "trackers.hub": {"trackers.detection", "trackers.memory"},
    "streaming.pipeline": ABOVE | {"streaming.settings", "streaming.page", CLUSTER},
    "streaming.settings": ABOVE | {"streaming.pipeline", "streaming.page", CLUSTER},
    "streaming.page": ABOVE | {CLUSTER},
    # Folders of videos and cameras have Ray in common, and nothing else.
    CLUSTER: {"streaming.cli", "streaming.page"},
    f"{CLUSTER}.videos": {"streaming.service", "streaming.settings", f"{CLUSTER}.cameras"},
    f"{CLUSTER}.cameras": {"streaming.commands", f"{CLUSTER}.videos"},
    "streaming.service": {"streaming.commands", "streaming.cli"},
    "streaming.commands": {"streaming.cli"},
}
# What begins something that a person sees in a list of threads or tasks, and so has a name.
NAMED = {"create_task", "Thread", "ThreadPoolExecutor", "SerialThread"}
# What structured concurrency (task groups, `asyncio.timeout`) makes unnecessary, and where it is needed all the same.
UNSTRUCTURED = {
    "asyncio.ensure_future": {"sinks/mqtt/client.py"},  # aiomqtt hands over coroutines and futures alike
    # The outcome of each, also of those that fail, in order; a sink that fails must not cancel what others write.
    "asyncio.gather": {"sinks/mqtt/events_topic.py", "streaming/pipeline/delivery.py"},
    "asyncio.wait_for": set(),
}
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def imports(tree):
    """The modules that code imports anywhere in it, and what it takes from them, which may be modules too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import, which says less than its full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def files(package):
    found = sorted((ROOT / package.replace(".", "/")).rglob("*.py"))
    assert found, f"{package} has moved, and its border with it"
    return found


def module(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name, package):
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", FLOORS)
def test_no_import_runs_up(package):
    for file in files(package):
        ours = {name for name in imports(parsed(file)) if name.split(".")[0] in OURS}
        foreign = {name for name in ours if name.split(".")[0] not in FLOORS[package]}
        home = str(file.relative_to(ROOT))
        wrong = {name for name in foreign if not any(home == at and within(name, up) for at, up in UPWARDS)}
        assert not wrong, f"{home} imports {wrong}"


@pytest.mark.parametrize("wing", WINGS)
def test_the_wings_keep_their_borders(wing):
    for file in files(wing):
        wrong = {name for name in imports(parsed(file)) if any(within(name, other) for other in WINGS[wing])}
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def at_import(tree):
    """The tree without what functions hold, which is not imported with the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = []
    return tree


def test_no_files_import_each_other_in_a_circle():
    modules = {module(file): file for package in OURS for file in files(package)}
    graph = {name: set(imports(at_import(parsed(file)))) & set(modules) - {name} for name, file in modules.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def calls(tree):
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("package", FLOORS)
def test_tasks_and_threads_have_names(package):
    for file in files(package):
        for name, call in calls(parsed(file)):
            if (begins := name.split(".")[-1]) in NAMED:
                named = any(word.arg in {"name", "thread_name_prefix"} for word in call.keywords)
                assert named or (begins == "SerialThread" and call.args), f"{file}:{call.lineno}: {name}"


@pytest.mark.parametrize("package", FLOORS)
def test_concurrency_is_structured(package):
    for file in files(package):
        home = str(file.relative_to(ROOT))
        tree = parsed(file)
        for name in {*imports(tree), *(name for name, _ in calls(tree))}:
            assert home in UNSTRUCTURED.get(name, {home}), f"{home}: {name}"


def test_asynchronous_tests_are_of_one_kind():
    for file in files("tests"):
        tree = parsed(file)
        names = {*imports(tree), *(name for name, _ in calls(tree))}
        assert "anyio" not in {name.split(".")[0] for name in names}, file
        if file.name != "test_threads.py":  # needs a loop that has come to its end
            assert "asyncio.run" not in names, f"{file}: let the test be `async def`"


def test_trackers_need_no_decoder_no_broker_and_no_web_server():
    allowed = {"torch", "transformers", "huggingface_hub", "numpy", "scipy", "safetensors", "trackers", "maskcast"}
    for file in files("trackers"):
        roots = {name.split(".")[0] for name in imports(parsed(file))}
        assert roots - allowed <= set(sys.stdlib_module_names), f"{file}: {roots - allowed}"


def test_ray_is_imported_in_the_cluster_alone_and_only_when_it_is_used():
    """That nothing else has a use for it is tested by `tests/forked.py`, where it cannot be imported."""
    for package in OURS:
        for file in files(package):
            ray = {name for name in imports(parsed(file)) if within(name, "ray")}
            assert not ray or within(module(file), CLUSTER), f"{file}: {ray}"
            assert not {name for name in imports(at_import(parsed(file))) if within(name, "ray")}, file


def test_examples_import_only_the_public_face():
    blocks = PYTHON_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    trees = [ast.parse(block) for block in blocks] + [parsed(file) for file in files("examples")]
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert not {name for name in names if name.split(".")[0] in OURS} - {"maskcast"}


def test_the_folders_of_tests_mirror_the_wings():
    for folder in sorted(path.parent for path in (ROOT / "tests").rglob("test_*.py")):
        mirrored = ROOT / folder.relative_to(ROOT / "tests")
        assert mirrored == ROOT or (mirrored / "__init__.py").is_file(), f"{folder} mirrors nothing"


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "training"])
def test_what_tests_share_lies_in_no_test_module(folder):
    for file in files(folder):
        text = file.read_text(encoding="utf-8")  # also of code for other processes, in strings
        assert not re.search(r"^ *(from|import) tests\b.*\btest_\w+", text, re.MULTILINE), file


def test_the_command_starts_without_what_takes_time():
    slow = ("torch", "transformers", "av", "cv2", "numpy", "asyncio", "pydantic", "aiomqtt", "aiohttp")
    code = f"import sys, streaming.cli.app; print([name for name in {slow} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_no_file_asks_to_be_split():
    for package in OURS:
        for file in files(package):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file
