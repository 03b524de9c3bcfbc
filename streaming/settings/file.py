"""Read a TOML file, and fill `${NAME}` in its strings from the environment."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskcast.errors import SettingsError, UsageError, reason_of
from maskcast.redaction import hide, redact
from streaming.settings.url_values import encoded

MAX_BYTES = 1 << 20
MAX_PROBLEMS = 10
# `$${` is the escape; a ${ that names nothing is a mistake rather than text.
_FIELD = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
# Keys whose values are URLs, if they hold a `://`.
URL_KEYS = frozenset({"source", "url"})
_NO_TEXT = "holds a control character, or is not UTF-8"
# A key whose value, or the first of a list, begins with none of the quotes, brackets and signs that TOML knows.
_UNQUOTED = re.compile(
    r"""\s*(?P<key>[A-Za-z0-9_.-]+)\s*=\s*(?P<list>\[\s*)?(?!true\b|false\b|inf\b|nan\b)[^\s"'\[\]{}#=+-]"""
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(file: Path, advice: str | None = None) -> dict[str, Any]:
    """The document in a file.

    Args:
        file: its path.
        advice: for a person who has no such file.

    Raises:
        UsageError: it cannot be read, is too large, or is not TOML; with the line where that is known.
    """
    name = file.name
    try:
        if file.exists() and not file.is_file():
            raise UsageError("not a file", where=file, advice="give a TOML file such as cameras.toml")
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError("no such file", where=file, advice=advice) from None
    except OSError as error:
        raise UsageError(f"cannot be read: {reason_of(error)}", where=file) from None
    except ValueError:
        raise UsageError("cannot be read: not a path", where=file) from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"larger than {MAX_BYTES >> 20} MiB, which no settings file is", where=name)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError("not UTF-8 text", where=f"{name}: line {line}", advice="save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # Its fields (lineno, colno) come with Python 3.14 only.
        where = re.search(r" \(at (line \d+)(, column \d+)?\)$", str(error))
        reason = str(error)[: where.start()] if where else str(error).removesuffix(" (at end of document)")
        line_text = f"{where[1]}{where[2] or ''}" if where else "at its end"
        quotes = _unquoted(content.decode("utf-8-sig"), int(where[1].removeprefix("line "))) if where else None
        raise UsageError(f"not TOML: {shown(reason, 200)}", where=f"{name}: {line_text}", advice=quotes) from None
    except RecursionError:
        raise UsageError("nested too deeply", where=name) from None
    except ValueError:  # a number of thousands of digits
        raise UsageError("a number in it is too long", where=name) from None


def _unquoted(text: str, number: int) -> str | None:
    """What to do if a line gives a text without quotes. The text is not shown: it may be a password."""
    lines = text.split("\n")
    written = _UNQUOTED.match(lines[number - 1]) if number <= len(lines) else None
    if written is None:
        return None
    example = '["...", "..."]' if written["list"] else '"..."'
    return f"texts stand in quotes: {shown(written['key'], 40)} = {example}"


def fill_in(document: dict[str, Any], environment: Mapping[str, str], name: str) -> dict[str, Any]:
    """A copy of the document with `${NAME}` replaced in its string values, once: nothing is expanded further.

    In a URL a value is percent-encoded as its place there needs, see `url_values.encoded`. From now on no message shows
    a value, see `redaction.hide`.

    Args:
        document: as read.
        environment: the variables.
        name: of the file, for messages.

    Raises:
        SettingsError: a variable is not set, or a string holds what no setting may; names key and variable, no value.
    """
    problems: list[UsageError] = []
    used: set[str] = set()

    def complain(what: str, path: tuple[str | int, ...]) -> None:
        problems.append(UsageError(what, where=f"{name}: {dotted(path)}"))

    def text(value: str, path: tuple[str | int, ...]) -> str:
        def variable(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            wanted = match["name"]
            if wanted is None:
                complain("write ${NAME} for a variable of the environment, $${ for a plain ${", path)
            elif wanted not in environment:
                complain(f"the environment variable {wanted} is not set", path)
            else:
                return written(environment[wanted], match)
            return ""

        def written(found: str, match: re.Match[str]) -> str:
            used.add(found)
            # Control characters and undecodable bytes (which the environment can bring) have no place in any setting.
            if not _is_text(found):
                complain(_NO_TEXT, path)
            elif "://" in value and path[-1] in URL_KEYS:
                try:
                    return encoded(found, value, match.start())
                except ValueError as error:
                    complain(f"${{{match['name']}}}: {error}", path)
            return found

        if not _is_text(value):
            complain(_NO_TEXT, path)
        return _FIELD.sub(variable, value)

    def walk(value: Any, path: tuple[str | int, ...]) -> Any:
        if len(problems) >= MAX_PROBLEMS:
            return value
        if isinstance(value, str):
            return text(value, path)
        if isinstance(value, dict):
            return {key: walk(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, (*path, index)) for index, inner in enumerate(value)]
        return value

    try:
        filled: dict[str, Any] = walk(document, ())
    except RecursionError:
        raise UsageError("nested too deeply", where=name) from None
    hide(used)
    if problems:
        raise SettingsError(problems[:MAX_PROBLEMS])
    return filled


def _is_text(value: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in value)


def dotted(path: tuple[str | int, ...]) -> str:
    """A key as TOML writes it: `streams.door.prompts[0]`, with quotes where it needs them."""
    parts = []
    for part in path[:8]:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            bare = _BARE_KEY.fullmatch(part) and len(part) <= 128
            parts.append(f".{part}" if bare else f'."{shown(part, 40)}"')
    return "".join(parts).removeprefix(".")


def shown(text: str, length: int) -> str:
    """Text for a message: without credentials, on one line, in printable ASCII, and not too long."""
    clean = ascii(redact(text))[1:-1]
    return clean if len(clean) <= length else f"{clean[: length - 3]}..."
