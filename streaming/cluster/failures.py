"""What Ray says in paragraphs, in one line: why a worker could not do what it was asked."""

from __future__ import annotations

import re

from maskcast.errors import MaskcastError, UsageError, unforeseen

# Ray hands on what an actor raised as it began as text alone.
RAISED = re.compile(r"(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt))(?:: (?P<said>.*))?")
MISSING = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'")
GONE = re.compile(r"node (was|has been|is) (terminated|dead|removed|preempted)|node died|node has died", re.IGNORECASE)
OURS = {"maskcast", "sources", "trackers", "sinks", "streaming"}


def in_one_line(error: BaseException) -> MaskcastError:
    """The error of a call to a worker, as Maskcast says it.

    Args:
        error: what `ray.get` raised, or awaiting a reference.

    Returns:
        The error that the worker raised if that is one of ours, with all it says; else one that says what became of the
        worker.
    """
    # By name: this is also asked where Ray was never imported.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return MaskcastError.wrap(cause)
    if isinstance(error, MaskcastError):
        return error
    if missing := MISSING.search(str(error)):
        if missing["module"].split(".")[0] in OURS:
            return UsageError("Maskcast is not installed on the machine of a worker", advice="install it on all")
        return UsageError(f"the package {missing['module']} is missing on the machine of a worker")
    if "OutOfMemoryError" in kinds or "OutOfMemoryError" in str(error):
        return MaskcastError("its machine had no memory left, and Ray has ended it", advice="take fewer workers")
    if "NodeDiedError" in kinds or GONE.search(str(error)):
        return MaskcastError("its machine is gone")
    if "creation task" in str(error):
        return MaskcastError(f"it could not begin: {_last_raised(str(error))}")
    if kinds & {"ActorUnavailableError", "GetTimeoutError", "TimeoutError"}:
        return MaskcastError("it does not answer")
    if kinds & {"RayActorError", "WorkerCrashedError"}:
        return MaskcastError("its process has died: killed, out of memory, or crashed")
    return MaskcastError(unforeseen(error))


def _last_raised(text: str) -> str:
    for line in reversed(text.splitlines()):
        if found := RAISED.fullmatch(line.strip()):
            # Ours say all by themselves; of others, the type is half of it.
            ours = found["type"].split(".")[0] in OURS
            return found["said"] if ours and found["said"] else line.strip()
    return text.splitlines()[0]
