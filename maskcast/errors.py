"""Errors that reach the user: what happened, where, what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import ClassVar, Self, TypeAlias, TypeVar

from maskcast.printable import printable
from maskcast.redaction import redact

# Of what a library says; some quote a whole file.
MOST_REASON_CHARACTERS = 300

Place: TypeAlias = str | PathLike[str]
E = TypeVar("E", bound="MaskcastError")


class MaskcastError(Exception):
    """Base of every error that Maskcast raises on purpose. As text it is one line: ``where: what; advice``.

    Whatever is given, each field is one printable line without credentials: of a URL, only scheme, host and port stay.

    Attributes:
        what: what happened.
        where: the stream, file, URL, model or setting that it is about; None if `what` says all.
        advice: what to do, or what is left to work with; None if nobody knows.
        exit_code: with which the command ends, see `streaming.cli.manual`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: Place | None = None, advice: str | None = None) -> None:
        self.what = _line(what)
        self.where = None if where is None else _name(str(where))
        self.advice = None if advice is None else _line(advice)
        super().__init__(self.what)

    def __str__(self) -> str:
        return self.reason if self.where is None else f"{self.where}: {self.reason}"

    @property
    def reason(self) -> str:
        """What happened and what to do, for those who say themselves where."""
        return self.what if self.advice is None else f"{self.what}; {self.advice}"

    @classmethod
    def wrap(cls, error: BaseException, *, where: Place | None = None, doing: str | None = None) -> MaskcastError:
        """The error itself if Maskcast raised it on purpose, else one of this kind that was caused by it.

        Args:
            error: whatever was raised.
            where: see above.
            doing: what went wrong with it, such as "frame 5 cannot be converted".
        """
        if isinstance(error, MaskcastError):
            return error
        said = unforeseen(error)
        wrapped = cls(f"{doing}: {said}" if doing else said, where=where)
        wrapped.__cause__ = error
        return wrapped

    def at(self, where: Place) -> Self:
        """The same error with a place, which stands in front of one that it names already."""
        outer = _name(str(where))
        return self._but(where=outer if self.where in {None, outer} else f"{outer}: {self.where}")

    def advising(self, advice: str) -> Self:
        """The same error with one more piece of advice."""
        more = _line(advice)
        return self._but(advice=more if self.advice is None else f"{self.advice}; {more}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all fields, whatever a subclass is made of; what caused it stays behind."""
        return _made_again, (type(self), self.args, self.__dict__)

    def _but(self, **fields: str) -> Self:
        return _made_again(type(self), self.args, {**self.__dict__, **fields})


def _made_again(kind: type[E], args: tuple[object, ...], fields: dict[str, object]) -> E:
    """An error with these fields, which were checked when it was first made."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(MaskcastError):
    """The command line, the settings or the arguments cannot be served."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file has problems. As text it has a line for each of them.

    Attributes:
        problems: one or more, each with its key in `where`.
    """

    def __init__(self, problems: Sequence[UsageError]) -> None:
        first = problems[0]
        super().__init__(first.what, where=first.where, advice=first.advice)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class SourceError(MaskcastError):
    """A source cannot be opened or stopped before its end."""

    exit_code = 3


class SinkError(MaskcastError):
    """A sink cannot be opened, written or finished."""

    exit_code = 4


class ReaderLeftError(SinkError):
    """Who read the standard output has closed it, as ``| head`` does: the work is over, and that is no failure."""

    exit_code = 0


class ModelError(MaskcastError):
    """The checkpoint or the device cannot be used, or the model failed on a frame."""

    exit_code = 5


class PictureGoneError(SourceError):
    """The pixels of a frame were elsewhere, and cannot be had any more; the frame and what was found in it stay."""


class StageError(MaskcastError):
    """A stage between the tracker and the sinks failed, which is a bug; the tracker's state is sound."""


class TrackStateError(ModelError):
    """A stream's saved track state is damaged or belongs to another model."""


class WorkerLeftError(ModelError):
    """The worker that tracked a stream is gone, or the stream has another one now: it goes on there at once."""


class TooLargeError(ModelError):
    """The frames of a pass do not fit into the device's memory together; no stream was advanced."""


def reason_of(error: BaseException) -> str:
    """What an error of the system or of a library says: one line of at most 300 characters, without credentials.

    Returns:
        The system's words without the file's name, else the first line of the error's text, else the name of its type.
    """
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return _first_line(str(text))


def unforeseen(error: BaseException) -> str:
    """What an error says that nobody reckoned with: the name of its type, then the first line of its whole text."""
    return _first_line(f"{type(error).__name__}: {error}".rstrip(": \n"))


def _first_line(text: str) -> str:
    # Redacted before it is cut, or half of a URL could pass for something else.
    return next(iter(redact(text).splitlines()), "")[:MOST_REASON_CHARACTERS]


def _line(text: str) -> str:
    return _name(" ".join(redact(text).splitlines()))


def _name(text: str) -> str:
    """Of a name no character is left out, or it would be another's."""
    # Bytes of a file's name that are not UTF-8 are shown as Python would on stderr.
    return printable(redact(text).encode("utf-8", "backslashreplace").decode())
