"""The public face of the package: `from maskcast import …`."""

import ast
import inspect
import subprocess
import sys
import typing
from importlib.metadata import version

import pytest

import maskcast
from tests.paths import ROOT


def printed(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def test_all_names_are_there_typed_and_documented():
    tree = ast.parse((ROOT / "maskcast" / "__init__.py").read_text(encoding="utf-8"))
    [typed] = [node for node in tree.body if isinstance(node, ast.If)]
    names = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(names | {"__version__"}) == sorted(maskcast.__all__) == dir(maskcast)
    for name in names:
        assert getattr(maskcast, name).__doc__, name
    assert maskcast.__version__ == version("maskcast")
    assert (ROOT / "maskcast" / "py.typed").is_file()


def test_track_is_the_pipelines():
    import streaming

    assert maskcast.track is streaming.track


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(ImportError, match="cannot import name 'Tracks' from 'maskcast'"):
        from maskcast import Tracks  # noqa: F401


# Types of PyAV and supervision.
FOREIGN = {"Packet": list, "AudioFrame": object, "Detections": object}


def met(kind, seen):
    """Gather every type of ours that the attributes, properties and methods of a type lead to."""
    for part in typing.get_args(kind):
        met(part, seen)
    if not inspect.isclass(kind) or not kind.__module__.startswith("maskcast") or kind in seen:
        return
    seen.add(kind)
    members = [kind, *(getattr(one, "func", getattr(one, "fget", one)) for one in vars(kind).values())]
    for member in members:
        if member is kind or inspect.isfunction(member):
            hints = typing.get_type_hints(member, localns=FOREIGN)
            for hint in hints.values():
                met(hint, seen)


def test_every_type_that_a_caller_meets_is_public():
    seen = set()
    met(maskcast.Result, seen)
    assert {maskcast.Frame, maskcast.Picture, maskcast.Planes, maskcast.Colour, maskcast.AudioPacket} < seen
    assert {maskcast.Track, maskcast.TrackState, maskcast.Mask, maskcast.Box, maskcast.EventKind} < seen
    assert {kind.__name__ for kind in seen} <= set(maskcast.__all__)


def test_it_costs_next_to_nothing_until_it_is_used():
    heavy = "print(*{'numpy', 'torch', 'av', 'cv2', 'streaming', 'sources', 'trackers', 'sinks'} & set(sys.modules))"
    assert printed(f"import sys, maskcast; {heavy}") == []
    names = ", ".join(name for name in maskcast.__all__ if name not in {"track", "Tracker"})
    assert printed(f"import sys; from maskcast import {names}; {heavy}") == ["numpy"]
    clock = "from time import perf_counter as now; import typing"
    ours, numpys = map(
        float, printed(f"{clock}; a = now(); import maskcast; b = now(); import numpy; print(b - a, now() - b)")
    )
    assert ours < numpys
