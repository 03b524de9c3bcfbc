"""JSON Lines: one object a frame, to a file or to the standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from maskcast.errors import ReaderLeftError, SinkError, reason_of
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.datasets.lines import LineFile
from sinks.messages.frame import frame_message
from sinks.sink import BlockingSink

STANDARD_OUTPUT = "standard output"
_failure: SinkError | None = None  # why the standard output is of no use, to all streams that share it


class JsonLinesSink(BlockingSink):
    """One `maskcast.frame` object a line in a file, which is ``name.partial.jsonl`` until the stream has ended.

    Raises:
        SinkError: the file cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        """Write to `path`."""
        super().__init__(str(path))
        self._file = LineFile(path)

    def start_blocking(self, info: StreamInfo) -> None:
        del info
        self._file.open()

    def write_blocking(self, result: Result) -> None:
        self._file.append(frame_message(result).json_bytes())
        self._file.flush_if_due()

    def finish_blocking(self, reason: str | None) -> None:
        self._file.finish(complete=reason is None)


class StdoutSink(BlockingSink):
    """One `maskcast.frame` object a line on the standard output, each written at once, for pipes.

    Raises:
        ReaderLeftError: the reader has closed the pipe (``| head``).
        SinkError: the output cannot be written.
    """

    def __init__(self) -> None:
        """Write to the process's standard output."""
        super().__init__(STANDARD_OUTPUT)

    def start_blocking(self, info: StreamInfo) -> None:
        """Nothing to open."""

    def write_blocking(self, result: Result) -> None:
        if _failure is not None:
            raise _failure
        try:
            sys.stdout.buffer.write(frame_message(result).json_bytes() + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            # An error and not silence: the model must not go on for hours on behalf of nobody.
            raise _give_up_stdout(ReaderLeftError("its reader closed the pipe", where=STANDARD_OUTPUT)) from error
        except OSError as error:
            raise _give_up_stdout(SinkError(f"cannot write: {reason_of(error)}", where=STANDARD_OUTPUT)) from error

    def finish_blocking(self, reason: str | None) -> None:
        """Every line is out already."""


def _give_up_stdout(failure: SinkError) -> SinkError:
    """Point the standard output at nothing, or Python complains about the unwritten rest when it exits."""
    global _failure  # noqa: PLW0603 - there is one standard output a process
    _failure = failure
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    return failure
