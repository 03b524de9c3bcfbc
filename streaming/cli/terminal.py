"""What a command says to the person who started it."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from maskcast.errors import MaskcastError
from maskcast.printable import printable
from maskcast.redaction import redact


def say(line: str) -> None:
    """Print a line, or several, for the person who started the command, on stderr: stdout may be a sink.

    A stderr that is closed or that nobody reads costs the words alone, not the stream of which they tell.
    """
    for handler in logging.getLogger().handlers:
        handler.flush()  # what was logged before comes before
    with suppress(AttributeError, OSError, ValueError):  # Python has none where it was closed from the start
        sys.stderr.write(f"{shown(line)}\n")


def shown(text: str) -> str:
    """The lines of a text without credentials, and without what drives a terminal."""
    return "\n".join(printable(line) for line in redact(text).split("\n"))


def complain(error: BaseException, *, verbose: bool) -> None:
    """Print an error as one line; with `verbose` its traceback before."""
    if verbose:
        import traceback

        say("".join(traceback.format_exception(error)))
    say(f"maskcast: error: {error}")


def fail(error: MaskcastError, *, verbose: bool) -> NoReturn:
    """Print an error and exit with its code."""
    complain(error, verbose=verbose)
    raise typer.Exit(error.exit_code)
