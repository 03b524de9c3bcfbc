"""`maskcast track` with the arguments of a test."""

from __future__ import annotations

from typer.testing import CliRunner

from streaming.cli.app import app


def command(*arguments, model):
    """Arguments of `maskcast`, for a process of its own."""
    return ["track", *map(str, arguments), "--model", str(model), "--device", "cpu"]


def run(*arguments, model="unused"):
    """In this process."""
    return CliRunner().invoke(app, ["track", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def one_line(done):
    """The error as printed: exactly one line."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("maskcast: error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("maskcast: error: ")
