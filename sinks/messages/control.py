"""Requests to a running stream, and the answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from maskcast.places import Places
from maskcast.printable import UNPRINTABLE, check_printable
from maskcast.prompts import MOST_PROMPTS, as_prompts, names
from maskcast.prompts import Prompt as Conditions
from sinks.messages.message import Message, Prompt, StreamId, Time, now
from sinks.messages.places import Lines, Zones, places_of
from sinks.messages.prompt import PhraseOrTable, PromptTable

FirstAction: TypeAlias = Literal["set", "add", "remove", "pause", "resume", "snapshot"]
SecondAction: TypeAlias = Literal["set", "add", "remove", "pause", "resume", "snapshot", "reset"]
Action: TypeAlias = Literal["set", "add", "remove", "pause", "resume", "snapshot", "reset", "places"]
ACTIONS: tuple[Action, ...] = get_args(Action)
PROMPT_ACTIONS = ("set", "add", "remove")  # the actions that take prompts
# Those that build on what earlier ones of them have changed.
CHANGES = (*PROMPT_ACTIONS, "places")

# These texts end up in logs and on screens. As a `not`, because `$` also matches before a final line end in some
# languages.
_PLAIN = {"not": {"pattern": UNPRINTABLE}}
ControlPrompt = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"\S", json_schema_extra=_PLAIN),
    AfterValidator(check_printable),
]
RequestId = Annotated[
    str, Field(min_length=1, max_length=64, json_schema_extra=_PLAIN), AfterValidator(check_printable)
]


def _different(prompts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(prompts)) < len(prompts):
        raise ValueError("a prompt is given twice")
    return names(as_prompts(prompts))  # what differs in blanks alone is one prompt


_PROMPTS_WHERE_THEY_BELONG: JsonDict = {
    "if": {"properties": {"action": {"enum": list(PROMPT_ACTIONS)}}},
    "then": {"required": ["prompts"]},
    "else": {"not": {"required": ["prompts"]}},
}


class _Control(Message):
    """What the versions share."""

    model_config = ConfigDict(
        validate_by_name=False,  # a request says `schema`, or nothing
        validate_by_alias=True,
        json_schema_extra=_PROMPTS_WHERE_THEY_BELONG,
    )

    schema_: Annotated[str, Field(alias="schema")]
    action: Action
    prompts: tuple[Any, ...]
    id: Annotated[RequestId | None, Field(description="Up to 64 characters of your choice, repeated in the reply.")] = (
        None
    )

    @model_validator(mode="after")
    def _prompts_where_they_belong(self) -> Self:
        if self.action in PROMPT_ACTIONS and not self.prompts:
            raise ValueError(f"{self.action} needs prompts")
        if self.action not in PROMPT_ACTIONS and "prompts" in self.model_fields_set:
            raise ValueError(f"{self.action} takes no prompts")
        return self


class ControlMessage(_Control):
    """A request to a running stream, published by anyone whom the broker lets: on ``<prefix>/<stream>/control``."""

    schema_: Annotated[
        Literal["maskcast.control/1"], Field(alias="schema", description="Format and version; may be left out.")
    ] = "maskcast.control/1"
    action: Annotated[
        FirstAction,
        Field(
            description="`set`, `add` or `remove` prompts; `pause`, `resume` processing; `snapshot`: publish an image."
        ),
    ]
    prompts: Annotated[
        tuple[ControlPrompt, ...],
        Field(
            default_factory=tuple,
            min_length=1,
            max_length=MOST_PROMPTS,
            json_schema_extra={"uniqueItems": True},
            description=f"The phrases, 1 to {MOST_PROMPTS} different ones of 1 to 200 characters without control or "
            "bidirectional ones; with `set`, `add` and `remove` only.",
        ),
        AfterValidator(_different),
    ]

    def wanted(self) -> tuple[Conditions, ...]:
        """The prompts that it names."""
        return as_prompts(self.prompts)


def _different_tables(tables: tuple[PromptTable, ...]) -> tuple[PromptTable, ...]:
    given = [table.prompt().name for table in tables]
    if len(set(given)) < len(given):
        raise ValueError("a prompt is given twice")
    return tables


PromptTables: TypeAlias = Annotated[
    tuple[PhraseOrTable, ...],
    Field(
        default_factory=tuple,
        min_length=1,
        max_length=MOST_PROMPTS,
        json_schema_extra={"uniqueItems": True},
        description=f"1 to {MOST_PROMPTS} different prompts, each a phrase or an object of a phrase, `text`, and "
        "its conditions; with `set`, `add` and `remove` only. `remove` goes by their names.",
    ),
    AfterValidator(_different_tables),
]


class _TableControl(_Control):
    """What the versions share that take conditions of prompts."""

    prompts: PromptTables

    def wanted(self) -> tuple[Conditions, ...]:
        """The prompts that it names."""
        return tuple(table.prompt() for table in self.prompts)


class ControlMessage2(_TableControl):
    """`maskcast.control/1` with conditions of prompts, and totals that can be reset."""

    schema_: Annotated[Literal["maskcast.control/2"], Field(alias="schema", description="Format and version.")]
    action: Annotated[
        SecondAction,
        Field(
            description="`set`, `add` or `remove` prompts; `pause`, `resume` processing; `snapshot`: publish an image; "
            "`reset`: begin the totals of zones and lines anew."
        ),
    ]


_PLACES: JsonDict = {"anyOf": [{"required": ["zones"]}, {"required": ["lines"]}]}


class ControlMessage3(_TableControl):
    """`maskcast.control/2` with zones and lines that can be replaced."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                _PROMPTS_WHERE_THEY_BELONG,
                {
                    "if": {"properties": {"action": {"const": "places"}}},
                    "then": _PLACES,
                    "else": {"not": _PLACES},
                },
            ]
        }
    )

    schema_: Annotated[Literal["maskcast.control/3"], Field(alias="schema", description="Format and version.")]
    action: Annotated[
        Action,
        Field(
            description="`set`, `add` or `remove` prompts; `pause`, `resume` processing; `snapshot`: publish an image; "
            "`reset`: begin the totals of zones and lines anew; `places`: count at these zones and lines, no others."
        ),
    ]
    zones: Zones = Field(
        default={},
        description="With `places` only: tables of zones by their names, as in the settings; `{}` or nothing for none. "
        "One of `zones` and `lines` must be there.",
    )
    lines: Lines = Field(default={}, description="Likewise, of lines.")

    @model_validator(mode="after")
    def _places_where_they_belong(self) -> Self:
        given = not self.model_fields_set.isdisjoint({"zones", "lines"})
        if self.action == "places" and not given:
            raise ValueError("places needs zones or lines, {} for none")
        if self.action != "places" and given:
            raise ValueError(f"{self.action} takes no zones and no lines")
        return self

    def places(self) -> Places:
        """The zones and lines that it describes."""
        return places_of(self.zones, self.lines)


AnyControlMessage: TypeAlias = ControlMessage | ControlMessage2 | ControlMessage3


class _Reply(Message):
    """What the versions share."""

    schema_: Annotated[str, Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: Annotated[str | None, Field(description="The request's `id`; null if it had none or could not be read.")]
    action: Annotated[Action | None, Field(description="The request's `action`; null if it could not be read.")]
    status: Annotated[Literal["accepted", "rejected"], Field(description="Whether the request was carried out.")]
    reason: Annotated[str | None, Field(description="Why it was rejected; null if accepted.")]
    prompts: Annotated[list[Prompt], Field(description="The prompts now in force.")]
    count: Annotated[
        int, Field(ge=1, description="How many requests this answers: 1, or more rejected ones under a flood.")
    ]
    time: Annotated[Time, Field(description="When the request was answered, UTC.")]


class ReplyMessage(_Reply):
    """The answer to requests: a message on ``<prefix>/<stream>/control/reply``."""

    schema_: Annotated[Literal["maskcast.reply/1"], Field(alias="schema", description="Format and version.")]
    action: Annotated[FirstAction | None, Field(description="The request's `action`; null if it could not be read.")]


class ReplyMessage2(_Reply):
    """The answer to a request of `maskcast.control/2`."""

    schema_: Annotated[Literal["maskcast.reply/2"], Field(alias="schema", description="Format and version.")]
    action: Annotated[SecondAction, Field(description="The request's `action`.")]
    prompts: Annotated[list[Prompt], Field(description="Names of the prompts now in force.")]


class ReplyMessage3(_Reply):
    """The answer to a request of `maskcast.control/3`."""

    schema_: Annotated[Literal["maskcast.reply/3"], Field(alias="schema", description="Format and version.")]
    action: Annotated[Action, Field(description="The request's `action`.")]
    prompts: Annotated[list[Prompt], Field(description="Names of the prompts now in force.")]


def reply_message(
    stream: str,
    request: AnyControlMessage | None,
    reason: str | None,
    prompts: Sequence[str],
    count: int = 1,
) -> ReplyMessage | ReplyMessage2 | ReplyMessage3:
    """The answer to `request` (None if it could not be read): accepted without a `reason`, rejected with one."""
    answer: dict[str, Any] = {
        "stream": stream,
        "id": request.id if request else None,
        "action": request.action if request else None,
        "status": "accepted" if reason is None else "rejected",
        "reason": reason,
        "prompts": list(prompts),
        "count": count,
        "time": now(),
    }
    if isinstance(request, ControlMessage3):
        return ReplyMessage3(schema_="maskcast.reply/3", **answer)
    if isinstance(request, ControlMessage2):
        return ReplyMessage2(schema_="maskcast.reply/2", **answer)
    return ReplyMessage(schema_="maskcast.reply/1", **answer)
