"""What single values of the settings may be: paths, sources, addresses. No message quotes the value itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from maskcast.errors import UsageError
from maskcast.prompts import MOST_PROMPTS, check_number
from maskcast.redaction import place_of, redact
from sinks import formats
from sinks.formats import STDOUT, parse_output
from sinks.messages.control import ACTIONS, Action
from sinks.messages.prompt import PhraseOrTable, PromptTable, prompts_of
from sinks.mqtt.broker import parse_address
from sinks.video.style import Style, styles_of
from sources.location import check_stream_id, kind_of, scheme_of
from trackers.device import DEVICE_NAME, DEVICE_NAMES

T = TypeVar("T")

MOST_WORKERS = 1024
RAY_ADDRESS = re.compile(r"auto|(?:ray://)?(?:\[[0-9a-fA-F:]+\]|[^:/@\s]+):[0-9]{1,5}")


class Location(str):
    """A source or a broker's URL: an ordinary string, whose `repr` hides the credentials."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(place_of(self) if "://" in self else redact(str(self)))


def _folder(info: ValidationInfo) -> Path:
    """Where the settings file lies: relative paths start there, because a service's working folder is anywhere."""
    return Path((info.context or {}).get("folder", "."))


def _path(value: Path, info: ValidationInfo) -> Path:
    if value.parts[:1] == ("~",):
        try:
            value = value.expanduser()
        except RuntimeError:  # nobody's home
            raise ValueError("~ has no meaning for this user: write the whole path") from None
    return _folder(info) / value


def _source(value: str, info: ValidationInfo) -> Location:
    if "://" not in value and not value.startswith("camera:") and value.strip():
        value = str(_path(Path(value), info))
    _unquoted(kind_of, value)
    return Location(value)


def _broker_url(value: str) -> Location:
    if scheme_of(value) not in {"mqtt", "mqtts"} or "://" not in value:
        raise ValueError("must begin with mqtt:// or mqtts://")
    _unquoted(parse_address, value)
    return Location(value)


def _unquoted(check: Callable[[str], T], value: str) -> T:
    """Run a check that names the value in `where` alone, and leave that out: any part of it may be a secret."""
    try:
        return check(value)
    except UsageError as error:
        raise ValueError(error.reason) from None


def _model_name(value: str, info: ValidationInfo) -> str:
    return str(_folder(info) / value) if value.startswith(("./", "../")) else value


def _worker_count(value: Any) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if type(value) is int and 1 <= value <= MOST_WORKERS:
        return value
    raise ValueError(f"must be auto or a whole number from 1 to {MOST_WORKERS}")


def _ray_address(value: str) -> str:
    if RAY_ADDRESS.fullmatch(value) is None:
        raise ValueError("must be auto, or a host and its port with or without ray:// in front")
    return value


def _device(value: str) -> str:
    if DEVICE_NAME.fullmatch(value) is None:
        raise ValueError(f"must be {DEVICE_NAMES}")
    return value


def _prompts(values: tuple[PromptTable, ...]) -> tuple[PromptTable, ...]:
    check_number(prompts_of(values))
    return values


def _out(value: str, info: ValidationInfo) -> str:
    try:
        output = parse_output(value)
    except UsageError:
        taken = [known for known in formats.FORMATS if not known.table]
        suffixes = ", ".join(suffix for known in taken for suffix in known.suffixes)
        begins = [f"{known.name}:" for known in taken if not known.schemes]
        begins += [f"{scheme}://" for known in taken for scheme in known.schemes]
        raise ValueError(f"must end in one of {suffixes}, or begin with one of {', '.join(begins)}") from None
    if output.format.table:
        raise ValueError(f"belongs into [{output.format.table}]")
    if output.target == STDOUT:
        raise ValueError("must be a file")
    return f"{output.prefix}{_path(output.path, info)}" if output.path else value


def _style(value: Any) -> Any:
    styles_of(value)
    return value


def _topic_level(value: str) -> str:
    if not value.strip("/") or any(character in "+#" for character in value):
        raise ValueError("must be a topic without + and #")
    return value.strip("/")


def _client_id(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable characters")
    return value


def _clock_time(value: str) -> str:
    if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value) is None:
        raise ValueError('must be a time of day such as "00:00"')
    return value


def _listen(value: str) -> str:
    if value and host_and_port(value) is None:
        raise ValueError('must be host:port, such as 127.0.0.1:9464 or [::1]:9464, or "" for none')
    return value


def _host(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", value) is None:
        raise ValueError("must be a host's name, without a port")
    return value


def _prefix(value: str) -> str:
    path = value.rstrip("/")
    if re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path) is None:
        raise ValueError('must be a path such as "/cameras"')
    return path


def host_and_port(value: str) -> tuple[str, int] | None:
    """Read `host:port` or `[IPv6]:port`; None if it is neither."""
    parts = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
    return (parts[1] or parts[2], int(parts[3])) if parts and int(parts[3]) < 1 << 16 else None


def _id(value: str) -> str:
    # The key is quoted by whoever shows the message; a long one must not be cut before it is redacted.
    return _unquoted(check_stream_id, value)


Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
FilePath: TypeAlias = Annotated[Path, Field(strict=False), AfterValidator(_path)]
SourceSpec: TypeAlias = Annotated[Text, AfterValidator(_source)]
BrokerUrl: TypeAlias = Annotated[Text, AfterValidator(_broker_url)]
ModelName: TypeAlias = Annotated[Text, AfterValidator(_model_name)]
Device: TypeAlias = Annotated[str, AfterValidator(_device)]
WorkerCount: TypeAlias = Annotated[int | Literal["auto"], PlainValidator(_worker_count)]
RayAddress: TypeAlias = Annotated[str, AfterValidator(_ray_address)]
Topic: TypeAlias = Annotated[Text, AfterValidator(_topic_level)]
ClientId: TypeAlias = Annotated[Text, AfterValidator(_client_id)]
ClockTime: TypeAlias = Annotated[str, AfterValidator(_clock_time)]
Listen: TypeAlias = Annotated[str, AfterValidator(_listen)]
Hosts: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(strict=False, max_length=64)]
Prefix: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(_prefix)]
StreamId: TypeAlias = Annotated[str, AfterValidator(_id)]
Prompts: TypeAlias = Annotated[
    tuple[PhraseOrTable, ...], Field(strict=False, min_length=1, max_length=MOST_PROMPTS), AfterValidator(_prompts)
]
Out: TypeAlias = Annotated[Text, AfterValidator(_out)]
Actions: TypeAlias = Annotated[tuple[Action, ...], Field(strict=False, max_length=len(ACTIONS))]
StyleWords: TypeAlias = Annotated[Style | dict[str, str], PlainValidator(_style)]
Outs: TypeAlias = Annotated[tuple[Out, ...], Field(strict=False, max_length=16)]
