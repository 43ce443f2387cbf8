"""The events of a run as its log has them, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True)
class Log:
    """Another log begins, of the process `pid`."""

    event: Literal["log"]
    pid: int | None = None


@dataclass(frozen=True)
class PlannedStage:
    """A stage, and why it may have to run."""

    stage: str
    reasons: Sequence[str]


@dataclass(frozen=True)
class Plan:
    """All stages in their order."""

    event: Literal["plan"]
    stages: Sequence[PlannedStage]


@dataclass(frozen=True)
class Begin:
    """A stage begins; `at` is in seconds since 1970."""

    event: Literal["begin"]
    stage: str
    at: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a stage is, how many units a second, and what it says of itself."""

    event: Literal["progress"]
    stage: str
    done: float
    total: float
    unit: str
    rate: float
    seconds_left: float | None
    detail: str


@dataclass(frozen=True)
class End:
    """A stage has ended: ran, restored, unchanged or failed."""

    event: Literal["end"]
    stage: str
    result: str
    seconds: float


@dataclass(frozen=True)
class Note:
    """Something that a person should read."""

    event: Literal["note"]
    stage: str
    markdown: str


@dataclass(frozen=True)
class Line:
    """A line that a stage printed."""

    event: Literal["line"]
    stage: str
    text: str


@dataclass(frozen=True)
class Failed:
    """The run has failed."""

    event: Literal["failure"]
    what: str
    cause: str
    remedy: str


@dataclass(frozen=True)
class Finish:
    """The run has done its work: where its results are, by name."""

    event: Literal["finish"]
    results: Mapping[str, str]


Event = Log | Plan | Begin | Progress | End | Note | Line | Failed | Finish
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
_KINDS = frozenset(_EVENT.json_schema()["discriminator"]["mapping"])


def known(messages: Iterable[Mapping[str, object]]) -> Iterator[Event]:
    """The events of a log that this version knows; others are passed over, as an older page may read a newer
    log.

    Raises:
        pydantic.ValidationError: if one of them lacks something.
    """
    return (_EVENT.validate_python(message) for message in messages if message["event"] in _KINDS)
