import logging

from transformers.utils.logging import EmptyTqdm, set_tqdm_hook, tqdm

from trackers.detection.quiet import quiet_transformers

LIBRARY = logging.getLogger("transformers")


def test_the_library_is_quiet_for_a_while_and_then_as_it_was(monkeypatch):
    monkeypatch.setattr(LIBRARY, "level", logging.INFO)
    bars = []
    before = set_tqdm_hook(lambda factory, arguments, options: bars.append(factory))
    try:
        with quiet_transformers():
            assert LIBRARY.level == logging.ERROR
            assert isinstance(tqdm([1]), EmptyTqdm)
        assert LIBRARY.level == logging.INFO
        assert bars == []
        tqdm([1])
        assert len(bars) == 1
    finally:
        set_tqdm_hook(before)
