"""A turn as it was recorded, and the file that carries one from machine to machine.

The file is JSON Lines: a line about the turn, then one for each stored message, bodies byte for byte, so that
what was identical here is identical there. It holds what people said: look at it before you send it away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from svc import errors
from svc.bus import api, status, subjects
from svc.router import course
from svc.wire import base, turn

FORMAT = 1
OWN = "router"
"""Its own calls (`orchestrate`) are no steps of the course."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the file."""

    quahog_turn: str
    format: int = FORMAT
    version: str = ""
    """Of Quahog, that exported it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message."""

    subject: str
    stream: str
    sequence: int
    at: float
    headers: dict[str, str]
    body: msgspec.Raw


@dataclasses.dataclass(frozen=True, slots=True)
class Tape:
    """What a replay needs of a recorded turn."""

    stored_at: float
    """Of the turn, Unix seconds."""
    ended: turn.Ended
    recorded: bytes
    """The outcome as it was stored."""
    requests: Mapping[str, bytes]
    """Reply subject -> the request as it was stored."""
    replies: Mapping[str, bytes]
    turn: turn.Turn


def read(turn_id: str, messages: Sequence[api.Message]) -> Tape:
    """The tape of a turn. Raises QuahogError for one that is unknown, unfinished, or of another version."""
    taken: tuple[turn.Turn, float] | None = None
    ended: api.Message | None = None
    requests: dict[str, bytes] = {}
    replies: dict[str, bytes] = {}
    for message in messages:
        subject = subjects.parse(message.subject)
        match subject.kind, subject.a, subject.b:
            case "turn", _, _:
                taken = base.decode(message.data, turn.Turn), message.at
            case "evt", "turn", "ended":
                ended = message
            case "log", service, method if service != OWN:
                requests[subjects.reply(service, method, subject.turn, subject.n)] = message.data
            case "rep", service, _ if service != OWN:
                replies[message.subject] = message.data
            case _:
                continue
    if taken is None:
        raise errors.QuahogError(f"no turn {turn_id} in the record: it is kept for 24 hours")
    if ended is None:
        raise errors.QuahogError(f"turn {turn_id} has not ended yet: see `quahog turn {turn_id}`")
    outcome = base.decode(ended.data, turn.Ended)
    if course.TAKEN not in outcome.noted:
        raise errors.QuahogError(
            f"turn {turn_id} didn't run its course ({outcome.reason or 'an older version recorded it'}), "
            "so there is nothing to run again"
        )
    return Tape(
        turn=taken[0],
        stored_at=taken[1],
        ended=outcome,
        recorded=ended.data,
        requests=requests,
        replies=replies,
    )


def dump(turn_id: str, messages: Sequence[api.Message]) -> bytes:
    """The file of a turn."""
    lines = [
        Line(
            subject=message.subject,
            stream=message.stream,
            sequence=message.sequence,
            at=message.at,
            headers=dict(message.headers),
            # Between tokens of JSON a newline is a space, and within them there is none.
            body=msgspec.Raw(message.data.replace(b"\n", b" ")),
        )
        for message in messages
        if _is_json(message.data)  # anything else was no part of the course
    ]
    head = Head(quahog_turn=turn_id, version=status.version())
    return b"".join(base.encode(line) + b"\n" for line in (head, *lines))


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return False
    return True


def load(data: bytes) -> tuple[str, list[api.Message]]:
    """The turn in a file. Raises ConfigError for a file that isn't one."""
    head, *rest = data.splitlines() or [b""]
    try:
        first = base.decode(head, Head)
        lines = [base.decode(line, Line) for line in rest if line.strip()]
        for line in lines:
            subjects.parse(line.subject)
    except (msgspec.MsgspecError, ValueError) as error:
        raise errors.ConfigError(f"this is no turn exported by `quahog export`: {error}") from None
    if first.format > FORMAT:
        raise errors.ConfigError(f"the file is of format {first.format}: Quahog {first.version} can read it")
    return first.quahog_turn, [
        api.Message(line.subject, bytes(line.body), line.headers, line.stream, line.sequence, line.at)
        for line in lines
    ]
