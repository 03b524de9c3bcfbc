"""Errors that reach the user: one line that says what, where and what to do, and an exit code."""

from __future__ import annotations

from typing import ClassVar


class MaskcastError(Exception):
    """Base of every error that Maskcast raises on purpose.

    The message is one line for a person: what happened, where, and what to do. It never contains credentials.
    """

    exit_code: ClassVar[int] = 1


class UsageError(MaskcastError):
    """The command line, the settings or the arguments cannot be served."""

    exit_code = 2


class SourceError(MaskcastError):
    """A source cannot be opened or stopped before its end."""

    exit_code = 3


class SinkError(MaskcastError):
    """A sink cannot be opened, written or finished."""

    exit_code = 4


class ModelError(MaskcastError):
    """The checkpoint or the device cannot be used, or the model failed on a frame."""

    exit_code = 5


class StageError(MaskcastError):
    """A stage between the tracker and the sinks failed, which is a bug; the tracker's state is sound."""


class TrackStateError(ModelError):
    """A stream's saved tracking state is damaged or belongs to another model."""


class TooLargeError(ModelError):
    """The frames of a pass do not fit into the device's memory together; no stream was advanced."""
