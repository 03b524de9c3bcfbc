"""One worker a GPU, without GPUs one for two cores, and never more than fits unless somebody says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcast.errors import UsageError
from streaming.cluster.resources import Node, Workers, divide

NODES = st.lists(st.builds(Node, st.just("node"), st.integers(1, 64), st.integers(0, 8)), min_size=1, max_size=5)


def here(cpus, gpus=0):
    return [Node("here", cpus, gpus)]


@pytest.mark.parametrize(
    ("nodes", "wanted", "device", "local", "workers"),
    [
        (here(16, 4), None, "auto", True, Workers(4, 4, 1, 1)),
        (here(16, 4), 8, "auto", True, Workers(8, 8, 1, 0.5)),
        (here(2, 4), None, "auto", True, Workers(4, 4, 0.5, 1)),
        (here(16, 4), None, "cpu", True, Workers(8, 8, 2, 0)),
        (here(2), None, "auto", True, Workers(1, 1, 2, 0)),
        (here(2), 2, "auto", True, Workers(2, 2, 1, 0)),
        (here(2), 4, "auto", True, Workers(4, 4, 0.5, 0)),
        (here(1), None, "auto", True, Workers(1, 1, 1, 0)),
        ([Node("a", 8, 2), Node("b", 8, 1)], None, "auto", False, Workers(3, 3, 1, 1)),
        ([Node("head", 0, 0)], 8, "cuda", False, Workers(8, 0, 1, 1)),
        ([Node("a", 8, 2), Node("b", 8, 1)], 5, "auto", False, Workers(5, 3, 1, 1)),
        ([Node("head", 0, 0), Node("a", 8, 0), Node("b", 4, 0)], None, "auto", False, Workers(6, 6, 2, 0)),
        ([Node("a", 1, 0), Node("b", 4, 0)], 9, "auto", False, Workers(9, 5, 1, 0)),
    ],
)
def test_machines_are_divided(nodes, wanted, device, local, workers):
    assert divide(nodes, wanted, device=device, local=local) == workers


@given(NODES, st.none() | st.integers(1, 20), st.sampled_from(["auto", "cpu"]), st.booleans())
def test_those_at_once_fit(nodes, wanted, device, local):
    nodes = nodes[:1] if local else nodes
    workers = divide(nodes, wanted, device=device, local=local)
    assert workers.count == (wanted or workers.count)
    assert 0 < workers.at_once <= workers.count
    assert workers.cpus > 0
    assert workers.at_once * workers.cpus <= sum(node.cpus for node in nodes) + 1e-9
    assert workers.at_once * workers.gpus <= sum(node.gpus for node in nodes)


@pytest.mark.parametrize(
    ("nodes", "wanted", "device", "said"),
    [
        (here(2), 0, "auto", "0 workers; it takes one at least"),
        (here(2), None, "cuda", "no GPU for the workers; use --device cpu or auto"),
        (here(0), None, "auto", "no machine has a core to give; start Ray with --num-cpus, or nodes with GPUs"),
    ],
)
def test_what_cannot_be_is_said(nodes, wanted, device, said):
    with pytest.raises(UsageError) as raised:
        divide(nodes, wanted, device=device)
    assert str(raised.value) == said
