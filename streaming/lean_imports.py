"""Transformers without those of its parts that following objects has no use for.

Its model classes import torch's compiler, for marks on functions that nobody compiles, its tensors that are spread
over processes, and SciPy, for losses; the library itself reads the source of every model that it knows, twice. On a
CPU that is 40 % of the time until the first frame. What is left out here stays out for all of the process, so this is
for the process `maskcast`; other programs get the whole library.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

# Functions with which Transformers asks what is installed, for what is used in training or over several processes.
_FOR_OTHERS = (
    "is_accelerate_available",
    "is_peft_available",
    "is_scipy_available",
    "is_sklearn_available",
    "is_torch_distributed_available",
)
# Folders of the models that checkpoints here are of, and of what these are made of.
_MODELS = (
    "auto",
    "clip",
    "sam2",
    "sam2_video",
    "sam3",
    "sam3_lite_text",
    "sam3_tracker",
    "sam3_tracker_video",
    "sam3_video",
)


def import_lean() -> None:
    """Import what all model classes share, once. With a GPU, passes may be compiled: then it is imported as it is."""
    if "transformers" in sys.modules:
        return
    with _uncollected():
        import torch

        if torch.cuda.is_available():
            return
        try:
            with _looking_through_few():
                import transformers.utils
                from transformers.utils import import_utils

                with _saying_no(transformers.utils), _saying_no(import_utils), _without_compiler():
                    import transformers.modeling_layers  # brings modeling_utils and masking_utils
        except (ImportError, AttributeError, NameError, TypeError) as error:
            # Another version, which asks for more: it will be imported again, and whole, where it is used.
            logger.debug("transformers cannot be imported in part: %s", error)
            for name in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
                del sys.modules[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, nor later among what is there by then.

    Modules make hundreds of thousands of objects, all of which stay. The collector looks through them again each time
    that they are a quarter more, which is a tenth of the time until the first frame.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class _Finder(MetaPathFinder):
    """Finds the module with which Transformers reads its own sources, and changes what that reads."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "transformers.utils.import_utils":
            return None
        found = PathFinder.find_spec(fullname, path, target)
        if found is not None and found.loader is not None:
            execute = found.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _read_few(module)

            vars(found.loader).update(exec_module=exec_module)
        return found


@contextmanager
def _looking_through_few() -> Iterator[None]:
    """Let `transformers` learn the names of our models alone; others can be imported by their modules."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _read_few(module: ModuleType) -> None:
    read = module.create_import_structure_from_path

    def read_few(path: str | os.PathLike[str]) -> dict[str, Any]:
        folder = os.fspath(path).removesuffix(f"{os.sep}__init__.py")
        if os.path.basename(folder) != "models":  # noqa: PTH119 - as Transformers does
            return read(path)  # type: ignore[no-any-return]
        there = [name for name in _MODELS if os.path.isdir(os.path.join(folder, name))]  # noqa: PTH112, PTH118
        return {name: read(os.path.join(folder, name)) for name in there}  # noqa: PTH118

    vars(module).update(create_import_structure_from_path=read_few)


@contextmanager
def _saying_no(module: ModuleType) -> Iterator[None]:
    """Let the functions of a module that are listed above answer False."""
    kept = {name: getattr(module, name) for name in _FOR_OTHERS if hasattr(module, name)}
    vars(module).update(dict.fromkeys(kept, lambda: False))
    try:
        yield
    finally:
        vars(module).update(kept)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Let `torch._dynamo` hand functions back as they are; afterwards the real one can be imported."""
    compiler, indexing = ModuleType("torch._dynamo"), ModuleType("torch._dynamo._trace_wrapped_higher_order_op")
    vars(compiler).update(dict.fromkeys(("allow_in_graph", "assume_constant_result", "disable"), _unmarked))
    vars(indexing).update(TransformGetItemToIndex=_indexing)
    if compiler.__name__ in sys.modules:  # somebody needs it
        yield
        return
    sys.modules.update({module.__name__: module for module in (compiler, indexing)})
    try:
        yield
    finally:
        for module in (compiler, indexing):
            sys.modules.pop(module.__name__, None)


def _unmarked(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
    """A decorator, with or without arguments, that does nothing."""
    return _unmarked if function is None else function


def _indexing() -> Any:
    """What some masks that are made by `torch.vmap` need, imported when they do."""
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    return TransformGetItemToIndex()
