"""What Ray says of workers in paragraphs becomes one line; these are its own words (2.60)."""

import pytest

from maskcast.errors import MaskcastError, UsageError
from streaming.cluster.failures import in_one_line

DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: W\n\tip: 192.0.2.2\n"
CREATION = "The actor died because of an error raised in its creation task, \x1b[36mray::W.__init__()\x1b[39m (pid=1)\n"


class RayActorError(Exception):
    """As Ray's: the names are what counts, as Ray may not be imported."""


class ActorDiedError(RayActorError):
    """As Ray's."""


class ActorUnavailableError(RayActorError):
    """As Ray's."""


class RayTaskError(Exception):
    """As Ray's, with what the worker raised."""

    def __init__(self, cause) -> None:
        super().__init__(f"ray::W.work()\n{cause}")
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ActorDiedError(
                f"{DIED}The actor died because its node has died. Node Id: 23\n\tthe actor's node was terminated"
            ),
            "its machine is gone",
        ),
        (
            ActorDiedError(
                f"{DIED}Worker exit detail: (1) the process was killed by the OOM killer due to high memory"
            ),
            "its process has died: killed, out of memory, or crashed",
        ),
        (ActorDiedError(f"{CREATION}  File x, line 3\nValueError: it is 3"), "it could not begin: ValueError: it is 3"),
        (
            ActorDiedError(f"{CREATION}trackers.detection.location.NotFetchedError: m: not here; fetch it"),
            "it could not begin: m: not here; fetch it",
        ),
        (ActorDiedError(f"{CREATION}nothing that is known"), f"it could not begin: {CREATION.strip()}"),
        (
            ActorDiedError(f"{CREATION}ModuleNotFoundError: No module named 'av'"),
            "the package av is missing on the machine of a worker",
        ),
        (ActorUnavailableError("The actor is unavailable: RpcError"), "it does not answer"),
        (TimeoutError("Get timed out"), "it does not answer"),
        (RayTaskError(UsageError("no", where="there")), "there: no"),
        (RayTaskError(MemoryError("x")), "MemoryError: x"),
        (UsageError("no"), "no"),
        (RuntimeError("new\nlines"), "RuntimeError: new"),
    ],
)
def test_it_is_one_line(error, said):
    ours = in_one_line(error)
    assert isinstance(ours, MaskcastError)
    assert str(ours).replace("\\x1b", "\x1b") == said
